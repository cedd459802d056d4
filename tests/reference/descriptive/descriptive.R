# Reference answers for tests/stats/test_descriptive.py. Run: Rscript descriptive.R > descriptive.json; it writes descriptive.csv.
suppressMessages(library(jsonlite))
set.seed(7)
n <- 75
d <- data.frame(
  ARM = rep(c("treatment", "control"), c(41, 34)),
  AGE = c(round(rnorm(41, 40, 9), 1), round(rnorm(34, 43, 7), 1)),
  SMOKBL = sample(c("NEVER", "FORMER", "CURRENT"), n, TRUE, c(0.5, 0.3, 0.2)),
  SEX = sample(c("F", "M"), n, TRUE)
)
d$AGE[c(3, 50)] <- NA
d$SMOKBL[10] <- NA
write.csv(d, "descriptive.csv", row.names = FALSE, na = "")
x <- d$AGE[d$ARM == "treatment"]; y <- d$AGE[d$ARM == "control"]
describe <- function(v) {
  k <- v[!is.na(v)]
  q <- unname(quantile(k, c(0.25, 0.5, 0.75), type = 7))
  list(n = length(k), missing = sum(is.na(v)), mean = mean(k), sd = sd(k), median = q[2], q1 = q[1], q3 = q[3],
       min = min(k), max = max(k))
}
yang_dalton <- function(a, b) {
  levels <- unique(c(na.omit(a), na.omit(b)))
  p <- sapply(list(a, b), function(v) prop.table(table(factor(v, levels)))[-1])
  p <- matrix(p, ncol = 2)
  S <- Reduce(`+`, lapply(1:2, function(i) diag(p[, i], nrow(p)) - tcrossprod(p[, i]))) / 2
  sqrt(drop(t(p[, 1] - p[, 2]) %*% solve(S) %*% (p[, 1] - p[, 2])))
}
by_arm <- function(column) unname(split(d[[column]], factor(d$ARM, c("treatment", "control"))))
test <- function(t) list(value = unname(diff(rev(t$estimate))), lower = t$conf.int[1], upper = t$conf.int[2],
                         p = t$p.value, df = unname(t$parameter), se = t$stderr)
one <- t.test(x, conf.level = 0.9)
cat(toJSON(list(
  program = R.version.string,
  tolerance = 1e-9,
  treatment = describe(x), control = describe(y),
  mean = list(value = unname(one$estimate), lower = one$conf.int[1], upper = one$conf.int[2]),
  smd = (mean(x, na.rm = TRUE) - mean(y, na.rm = TRUE)) / sqrt((var(x, na.rm = TRUE) + var(y, na.rm = TRUE)) / 2),
  yang_dalton = list(SMOKBL = do.call(yang_dalton, by_arm("SMOKBL")), SEX = do.call(yang_dalton, by_arm("SEX"))),
  welch = test(t.test(x, y)), student = test(t.test(x, y, var.equal = TRUE))
), digits = 15, auto_unbox = TRUE, pretty = TRUE))
