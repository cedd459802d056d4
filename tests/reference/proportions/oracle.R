# Reference answers for one and two proportions: base R, score intervals by inverting the test with uniroot.
# The restricted risks are found as the root of the likelihood's derivative, not by the closed form that respine uses.
# Run in this folder: Rscript oracle.R
library(jsonlite)
z <- qnorm(0.975)

tables <- list(c(36, 154, 12, 77), c(56, 70, 48, 80), c(9, 10, 3, 10), c(10, 10, 0, 20), c(37, 50, 34, 49), c(43, 58, 39, 56),
               c(0, 10, 5, 10), c(5, 10, 0, 10), c(10, 10, 5, 10), c(1, 58, 0, 56), c(5, 7, 2, 7), c(3, 4, 5, 11), c(300, 1000, 250, 1100))

restricted <- function(x1, n1, x0, n0, p1_of, slope, low, high) {
  # maximum of the likelihood in p0 with p1 = p1_of(p0); `slope` is dp1/dp0
  g <- function(p0) {
    p1 <- p1_of(p0)
    part <- function(x, p) if (x == 0) 0 else x / p
    slope * (part(x1, p1) - part(n1 - x1, 1 - p1)) + part(x0, p0) - part(n0 - x0, 1 - p0)
  }
  e <- (high - low) * 1e-14
  if (g(low + e) <= 0) return(low)
  if (g(high - e) >= 0) return(high)
  uniroot(g, c(low + e, high - e), tol = 1e-16, maxiter = 10000)$root
}
score_difference <- function(d, t, corrected) {
  p0 <- restricted(t[1], t[2], t[3], t[4], function(p) p + d, 1, max(0, -d), min(1, 1 - d)); p1 <- p0 + d
  n <- t[2] + t[4]
  v <- (p1 * (1 - p1) / t[2] + p0 * (1 - p0) / t[4]) * (if (corrected) n / (n - 1) else 1)
  (t[1] / t[2] - t[3] / t[4] - d) / sqrt(v)
}
score_ratio <- function(logr, t, corrected) {
  r <- exp(logr)
  p0 <- restricted(t[1], t[2], t[3], t[4], function(p) p * r, r, 0, min(1, 1 / r)); p1 <- p0 * r
  n <- t[2] + t[4]
  v <- (p1 * (1 - p1) / t[2] + r^2 * p0 * (1 - p0) / t[4]) * (if (corrected) n / (n - 1) else 1)
  (t[1] / t[2] - r * t[3] / t[4]) / sqrt(v)
}
limits <- function(f, low, high, centre) {
  root <- function(target, a, b) {
    fa <- f(a) - target; fb <- f(b) - target
    if (!is.finite(fa) || !is.finite(fb) || fa * fb > 0) return(NA)
    uniroot(function(d) f(d) - target, c(a, b), tol = 1e-13, maxiter = 10000)$root
  }
  c(root(z, low, centre), root(-z, centre, high))
}
wilson <- function(x, n) as.numeric(prop.test(x, n, correct = FALSE)$conf.int)
newcombe <- function(t) {
  p1 <- t[1] / t[2]; p0 <- t[3] / t[4]; a <- wilson(t[1], t[2]); b <- wilson(t[3], t[4])
  c(p1 - p0 - sqrt((p1 - a[1])^2 + (b[2] - p0)^2), p1 - p0 + sqrt((a[2] - p1)^2 + (p0 - b[1])^2))
}
conditional <- function(t) {
  # Fisher's noncentral hypergeometric distribution of x1; fisher.test's own roots stop at about 1e-4
  m <- t[1] + t[3]; support <- max(0, m - t[4]):min(t[2], m)
  base <- lchoose(t[2], support) + lchoose(t[4], m - support)
  prob <- function(l) { w <- base + support * l; w <- exp(w - max(w)); w / sum(w) }
  solve <- function(f) uniroot(f, c(-40, 40), tol = 1e-13, maxiter = 10000)$root
  first <- t[1] == min(support); last <- t[1] == max(support)
  list(estimate = if (first) 0 else if (last) NA else exp(solve(function(l) sum(support * prob(l)) - t[1])),
       lower = if (first) 0 else exp(solve(function(l) sum(prob(l)[support >= t[1]]) - 0.025)),
       upper = if (last) NA else exp(solve(function(l) sum(prob(l)[support <= t[1]]) - 0.025)))
}
midp <- function(t) {
  m <- t[1] + t[3]; support <- max(0, m - t[4]):min(t[2], m); d <- dhyper(support, t[2], t[4], m); o <- dhyper(t[1], t[2], t[4], m)
  same <- abs(d / o - 1) < 1e-7
  sum(d[d < o & !same]) + sum(d[same]) / 2
}
boschloo <- function(t) {
  one_sided <- function(greater) {
    p <- outer(0:t[2], 0:t[4], function(a, b) if (greater) phyper(a - 1, t[2], t[4], a + b, lower.tail = FALSE) else phyper(a, t[2], t[4], a + b))
    extreme <- p <= p[t[1] + 1, t[3] + 1] * (1 + 1e-10)
    size <- function(q) sum(outer(dbinom(0:t[2], t[2], q), dbinom(0:t[4], t[4], q))[extreme])
    q <- seq(0, 1, length.out = 2001); best <- which.max(sapply(q, size))
    optimize(size, c(q[max(1, best - 1)], q[min(2001, best + 1)]), maximum = TRUE, tol = 1e-12)$objective
  }
  min(1, 2 * min(one_sided(TRUE), one_sided(FALSE)))
}
answer <- function(t) {
  m <- matrix(c(t[1], t[3], t[2] - t[1], t[4] - t[3]), 2)
  rd <- t[1] / t[2] - t[3] / t[4]
  e <- outer(rowSums(m), colSums(m)) / sum(m)
  lrt <- 2 * sum(ifelse(m > 0, m * log(m / e), 0))
  wald_var <- t[1] * (t[2] - t[1]) / t[2]^3 + t[3] * (t[4] - t[3]) / t[4]^3
  positive <- all(m > 0)
  glm_fit <- if (positive) summary(glm(m ~ c(1, 0), family = binomial, epsilon = 1e-14))$coefficients else NULL
  fisher <- fisher.test(m)
  katz_se <- sqrt(1 / t[1] - 1 / t[2] + 1 / t[3] - 1 / t[4])
  ratio_centre <- if (t[1] == 0) -45 else if (t[3] == 0) 45 else log((t[1] / t[2]) / (t[3] / t[4]))
  ratio <- function(corrected) exp(limits(function(l) score_ratio(l, t, corrected), -45, 45, ratio_centre))
  list(counts = t, rd = rd,
       mn = limits(function(d) score_difference(d, t, TRUE), -1 + 1e-12, 1 - 1e-12, max(min(rd, 1 - 1e-9), -1 + 1e-9)),
       mee = limits(function(d) score_difference(d, t, FALSE), -1 + 1e-12, 1 - 1e-12, max(min(rd, 1 - 1e-9), -1 + 1e-9)),
       newcombe = newcombe(t),
       ratio_mn = ratio(TRUE), ratio_koopman = ratio(FALSE),
       katz = if (t[1] > 0 && t[3] > 0) exp(ratio_centre + c(-1, 1) * z * katz_se) else NULL,
       odds_exact = conditional(t), fisher_test_or = unname(fisher$estimate), fisher_test_ci = as.numeric(fisher$conf.int),
       odds_wald = if (positive) exp(glm_fit[2, 1] + c(0, -1, 1) * z * glm_fit[2, 2]) else NULL,
       p = list(pearson = chisq.test(m, correct = FALSE)$p.value, yates = chisq.test(m)$p.value,
                likelihood_ratio = pchisq(lrt, 1, lower.tail = FALSE), fisher = fisher$p.value, fisher_midp = midp(t),
                wald = if (wald_var > 0) 2 * pnorm(-abs(rd) / sqrt(wald_var)) else NULL,
                wald_log_odds = if (positive) glm_fit[2, 4] else NULL,
                boschloo = if (sum(m) < 300) boschloo(t) else NULL))
}
options(warn = -1)
single <- lapply(list(c(0, 10), c(10, 10), c(37, 50), c(1, 58), c(250, 1100)), function(s)
  list(counts = s, clopper_pearson = as.numeric(binom.test(s[1], s[2])$conf.int), wilson = wilson(s[1], s[2])))
write_json(list(program = R.version.string, source = "oracle.R", tolerance = 1e-8, tolerance_kind = "absolute",
                level = 0.95, two = lapply(tables, answer), single = single),
           "answers.json", digits = NA, auto_unbox = TRUE, pretty = TRUE, na = "null", null = "null")
