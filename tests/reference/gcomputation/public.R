# Reference answers for the adjusted risk difference on the Mayo Clinic's trial in primary biliary cholangitis
# (survival::pbc: death or transplantation within five years, penicillamine against placebo), on a covariate with a few
# extreme values, and on 7 + 7 participants with separation. glm and the sandwich package; Firth's estimate by glm on
# split pseudo-observations (Heinze & Schemper 2002). Run in this folder: Rscript public.R (writes pbc.csv, heavy.csv, small.csv, public.json)
library(jsonlite); library(sandwich)
data(pbc, package = "survival")
d <- pbc[!is.na(pbc$trt) & (pbc$status > 0 | pbc$time >= 1826.25), ]
main <- data.frame(response = as.integer(d$status > 0 & d$time < 1826.25), treated = as.integer(d$trt == 1), EDEMA = paste0("e", d$edema), AGE = d$age, BILI = d$bili, CHOL = d$chol)
set.seed(11); n <- 2000
x <- exp(rnorm(n, 0, 2)); arm <- rep(0:1, n / 2)
heavy <- data.frame(response = rbinom(n, 1, plogis(-1 + 0.3 * arm + 0.8 * x)), treated = arm, X = signif(x, 6))
small <- data.frame(response = c(1, 1, 1, 0, 1, 0, 1, 0, 0, 1, 0, 0, 1, 0), treated = rep(1:0, each = 7), X = c(8, 9, 7, 3, 6, 2, 9, 1, 4, 8, 3, 2, 7, 4))
for (name in c("main", "heavy", "small")) write.csv(get(name), paste0(if (name == "main") "pbc" else name, ".csv"), row.names = FALSE, quote = FALSE, na = "")

risks <- function(fit, data) sapply(1:0, function(a) predict(fit, transform(data, treated = a), type = "response"))
gradients <- function(fit, data) t(sapply(1:0, function(a) { X <- model.matrix(delete.response(terms(fit)), transform(data, treated = a), xlev = fit$xlevels); m <- plogis(drop(X %*% coef(fit))); colMeans(m * (1 - m) * X) }))
answer <- function(formula, data) {
  data <- na.omit(data); fit <- suppressWarnings(glm(formula, binomial, data, epsilon = 1e-14, maxit = 200)); stopifnot(fit$converged)
  m <- risks(fit, data); g <- gradients(fit, data); A <- data$treated; p <- mean(A)
  psi <- A / p * (data$response - m[, 1]) - (1 - A) / (1 - p) * (data$response - m[, 2]) + m[, 1] - m[, 2]; step <- g[1, ] - g[2, ]
  list(n = nrow(data), fit = "maximum likelihood", risk_treatment = mean(m[, 1]), risk_control = mean(m[, 2]), se = sqrt(sum((psi - mean(psi))^2)) / nrow(data),
       se_fixed = sqrt(drop(step %*% vcovHC(fit, type = "HC0") %*% step)), se_model = sqrt(drop(step %*% vcov(fit) %*% step)), largest_linear_predictor = max(abs(predict(fit))))
}
firth <- function(formula, data) {
  h <- rep(0.5, nrow(data)); old <- 0; options(warn = -1)
  repeat {  # each observation with weight 1 + h / 2 as it is and h / 2 with the other response
    both <- rbind(data, transform(data, response = 1 - response)); weight <- c(1 + h / 2, h / 2); environment(formula) <- environment()
    fit <- glm(formula, binomial, both, weights = weight, epsilon = 1e-15, maxit = 100)
    X <- model.matrix(formula, data); m <- plogis(drop(X %*% coef(fit))); W <- m * (1 - m); h <- W * rowSums((X %*% solve(crossprod(X, W * X))) * X)
    if (max(abs(coef(fit) - old)) < 1e-13) break
    old <- coef(fit)
  }
  V <- solve(crossprod(X, W * X)); m <- risks(fit, data); g <- gradients(fit, data); step <- g[1, ] - g[2, ]; spread <- m[, 1] - m[, 2]
  model <- drop(step %*% V %*% step)
  list(n = nrow(data), fit = "Firth", risk_treatment = mean(m[, 1]), risk_control = mean(m[, 2]), se = sqrt(model + sum((spread - mean(spread))^2) / nrow(data)^2),
       se_fixed = sqrt(drop(step %*% V %*% crossprod(X * (data$response - plogis(drop(X %*% coef(fit))))) %*% V %*% step)), se_model = sqrt(model))
}
write_json(list(program = R.version.string, packages = list(survival = as.character(packageVersion("survival")), sandwich = as.character(packageVersion("sandwich"))),
                source = "public.R", tolerance = 1e-7, tolerance_kind = "relative",
                pbc = answer(response ~ treated + EDEMA + AGE + BILI + CHOL, main), heavy = answer(response ~ treated + X, heavy), small = firth(response ~ treated + X, small)),
           "public.json", digits = NA, auto_unbox = TRUE, pretty = TRUE)
