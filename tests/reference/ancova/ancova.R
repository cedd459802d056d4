# Reference answers for tests/stats/test_ancova.py. Run: Rscript ancova.R > ancova.json; it writes ancova.csv.
suppressMessages({library(emmeans); library(jsonlite)})
set.seed(20240917)
n <- 90
d <- data.frame(
  ARM = sample(c("treatment", "control"), n, TRUE),
  COUNTRY = sample(c("DEU", "ESP", "FRA", "ITA"), n, TRUE, c(0.5, 0.25, 0.15, 0.1)),
  SEX = sample(c("F", "M"), n, TRUE),
  BASE = round(rnorm(n, 65, 12), 1)
)
d$CHG <- round(-10 - 0.4 * (d$BASE - 65) + 3 * (d$COUNTRY == "FRA") - 4 * (d$ARM == "treatment") + rnorm(n) * (8 + 0.1 * d$BASE), 2)
d$CHG[c(5, 40)] <- NA
d$BASE[17] <- NA
write.csv(d, "ancova.csv", row.names = FALSE, na = "")
d$ARM <- factor(d$ARM, c("control", "treatment"))
models <- list(full = CHG ~ ARM + BASE + COUNTRY + SEX, country = CHG ~ ARM + COUNTRY, arm = CHG ~ ARM)
hc3 <- function(fit) {  # (X'X)^-1 X' diag(e^2 / (1 - h)^2) X (X'X)^-1
  X <- model.matrix(fit)
  bread <- solve(crossprod(X))
  bread %*% crossprod(X * residuals(fit) / (1 - hatvalues(fit))) %*% bread
}
columns <- c("emmean", "SE", "df", "lower.CL", "upper.CL")
answer <- function(fit, ...) {
  grid <- emmeans(fit, ~ ARM, ...)
  list(lsmeans = as.data.frame(grid)[, c("ARM", columns)],
       difference = as.data.frame(summary(pairs(grid, reverse = TRUE), infer = TRUE)),
       sd = sigma(fit))
}
answers <- lapply(models, function(f) { fit <- lm(f, d); list(ols = answer(fit), hc3 = answer(fit, vcov. = hc3(fit))) })

x <- d$CHG[d$ARM == "treatment"]; y <- d$CHG[d$ARM == "control"]
g <- function(x, y, level) {
  x <- x[!is.na(x)]; y <- y[!is.na(y)]
  m <- length(x) + length(y) - 2
  s <- sqrt((sum((x - mean(x))^2) + sum((y - mean(y))^2)) / m)
  unit <- sqrt(1 / length(x) + 1 / length(y))
  t <- (mean(x) - mean(y)) / s / unit
  J <- gamma(m / 2) / sqrt(m / 2) / gamma((m - 1) / 2)
  limit <- function(p) J * unit * uniroot(function(delta) pt(t, m, delta) - p, t + c(-10, 10), tol = 1e-12)$root
  list(g = J * t * unit, lower = limit((1 + level) / 2), upper = limit((1 - level) / 2), correction = J)
}
cat(toJSON(list(
  program = paste0(R.version.string, "; emmeans ", packageVersion("emmeans")),
  tolerance = 1e-6,
  answers = answers,
  hedges = list(all = g(x, y, 0.95), small = g(x[1:4], y[1:3] + 20, 0.9))
), digits = 14, auto_unbox = TRUE, pretty = TRUE))
