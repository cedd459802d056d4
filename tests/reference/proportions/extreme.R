# Reference answers for two proportions at the ends: 50,000 participants an arm, one participant an arm, empty and full
# cells. Score limits by bisection on risks that maximise the likelihood by bisection on its derivative; conditional odds
# ratio by uniroot on dhyper's own log probabilities. Run in this folder: Rscript extreme.R
library(jsonlite)
z <- qnorm(0.975)
tables <- list(c(15000, 50000, 14500, 50000), c(1500, 50000, 1400, 50000), c(30, 50000, 14, 50000), c(0, 50000, 3, 50000),
               c(49999, 50000, 49990, 50000), c(3, 50000, 1, 7), c(1, 1, 0, 1), c(0, 1, 1, 2), c(1, 1, 0, 20), c(7, 7, 0, 7), c(3, 7, 7, 7))

bisect <- function(above, low, high) { for (i in 1:100) { m <- (low + high) / 2; if (isTRUE(above(m))) low <- m else high <- m }; (low + high) / 2 }
part <- function(x, p) if (x == 0) 0 else x / p
control_risk <- function(t, treated, slope, low, high) bisect(function(p) { q <- treated(p)
  slope * (part(t[1], q) - part(t[2] - t[1], 1 - q)) + part(t[3], p) - part(t[4] - t[3], 1 - p) > 0 }, low, high)
standardised <- function(distance, v) if (v > 1e-20) distance / sqrt(v) else if (abs(distance) < 1e-14) 0 else sign(distance) * Inf
factor <- function(t, corrected) { n <- t[2] + t[4]; if (corrected) n / (n - 1) else 1 }
difference <- function(t, corrected) { f <- function(d) { p <- control_risk(t, function(p) p + d, 1, max(0, -d), min(1, 1 - d)); q <- p + d
    standardised(t[1] / t[2] - t[3] / t[4] - d, (q * (1 - q) / t[2] + p * (1 - p) / t[4]) * factor(t, corrected)) }
  c(bisect(function(d) f(d) > z, -1, 1), bisect(function(d) f(d) > -z, -1, 1)) }
ratio <- function(t, corrected) { f <- function(l) { r <- exp(l); p <- control_risk(t, function(p) r * p, r, 0, min(1, 1 / r)); q <- r * p
    standardised(t[1] / t[2] - r * t[3] / t[4], (q * (1 - q) / t[2] + r^2 * p * (1 - p) / t[4]) * factor(t, corrected)) }
  c(if (t[1] == 0) 0 else exp(bisect(function(l) f(l) > z, -20, 20)), if (t[3] == 0) NA else exp(bisect(function(l) f(l) > -z, -20, 20))) }
conditional <- function(t) {
  m <- t[1] + t[3]; support <- max(0, m - t[4]):min(t[2], m); base <- dhyper(support, t[2], t[4], m, log = TRUE)
  prob <- function(l) { w <- base + support * l; w <- exp(w - max(w)); w / sum(w) }
  solve <- function(f) exp(uniroot(f, c(-60, 60), tol = 1e-13, maxiter = 10000)$root)
  first <- t[1] == min(support); last <- t[1] == max(support)
  c(if (first) 0 else if (last) NA else solve(function(l) sum(support * prob(l)) - t[1]),
    if (first) 0 else solve(function(l) sum(prob(l)[support >= t[1]]) - 0.025), if (last) NA else solve(function(l) sum(prob(l)[support <= t[1]]) - 0.025))
}
options(warn = -1)
answer <- function(t) { m <- matrix(c(t[1], t[3], t[2] - t[1], t[4] - t[3]), 2)
  list(counts = t, mn = difference(t, TRUE), mee = difference(t, FALSE), ratio_mn = ratio(t, TRUE), ratio_koopman = ratio(t, FALSE), odds = conditional(t),
       pearson = chisq.test(m, correct = FALSE)$p.value, yates = chisq.test(m)$p.value, fisher = fisher.test(m)$p.value) }
write_json(list(program = R.version.string, source = "extreme.R", tolerance = 1e-6, tolerance_kind = "relative", level = 0.95, two = lapply(tables, answer)),
           "extreme.json", digits = NA, auto_unbox = TRUE, pretty = TRUE, na = "null")
