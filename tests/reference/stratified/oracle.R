# Reference answers for stratified 2 x 2 tables and r x c x k tables: mantelhaen.test, and the published formulas where
# R has no function. Run in this folder: Rscript oracle.R
library(jsonlite)
z <- qnorm(0.975)

# hartung_knapp: cisapride meta-analysis, Hartung & Knapp 2001, as in Laud 2017 (doi 10.1002/pst.1813);
# lu: Lu 2008; twins: the example of the R package cicalc's help page; laud: example data of ratesci-sas; sparse: own.
data <- list(
  hartung_knapp = list(x1 = c(15, 12, 29, 42, 14, 44, 14, 29, 10, 17, 38, 19, 21), n1 = c(16, 16, 34, 56, 22, 54, 17, 58, 14, 26, 44, 29, 38),
                       x0 = c(9, 1, 18, 31, 6, 17, 7, 23, 3, 6, 12, 22, 19), n0 = c(16, 16, 34, 56, 22, 55, 15, 58, 15, 27, 45, 30, 38)),
  lu = list(x1 = c(3, 4, 18), n1 = c(5, 10, 35), x0 = c(1, 3, 2), n0 = c(15, 10, 25)),
  twins = list(x1 = c(7, 5), n1 = c(10, 10), x0 = c(5, 4), n0 = c(10, 10)),
  laud = list(x1 = c(25, 34, 28, 52), n1 = c(33, 50, 50, 67), x0 = c(4, 17, 15, 22), n0 = c(17, 25, 25, 33)),
  sparse = list(x1 = c(0, 3, 2, 5), n1 = c(2, 3, 6, 9), x0 = c(0, 1, 0, 4), n0 = c(3, 4, 5, 6)))

score <- function(d, s) {
  terms <- mapply(function(x1, n1, x0, n0) {
    g <- function(p0) {
      p1 <- p0 + d
      part <- function(x, p) if (x == 0) 0 else x / p
      part(x1, p1) - part(n1 - x1, 1 - p1) + part(x0, p0) - part(n0 - x0, 1 - p0)
    }
    low <- max(0, -d); high <- min(1, 1 - d); e <- (high - low) * 1e-14
    p0 <- if (g(low + e) <= 0) low else if (g(high - e) >= 0) high else uniroot(g, c(low + e, high - e), tol = 1e-16, maxiter = 10000)$root
    p1 <- p0 + d; n <- n1 + n0; w <- n1 * n0 / n
    c(w * (x1 / n1 - x0 / n0 - d), w^2 * (p1 * (1 - p1) / n1 + p0 * (1 - p0) / n0) * n / (n - 1))
  }, s$x1, s$n1, s$x0, s$n0)
  sum(terms[1, ]) / sqrt(sum(terms[2, ]))
}
breslow_day <- function(s, or) {
  varies <- s$x1 + s$x0 > 0 & s$x1 + s$x0 < s$n1 + s$n0
  parts <- mapply(function(x1, n1, x0, n0) {
    x <- x1 + x0; n <- n1 + n0
    f <- function(e) log(e) + log(n0 - x + e) - log(n1 - e) - log(x - e) - log(or)
    low <- max(0, x - n0); high <- min(x, n1); w <- (high - low) * 1e-13
    e <- uniroot(f, c(low + w, high - w), tol = 1e-15, maxiter = 10000)$root
    c(x1 - e, 1 / (1 / e + 1 / (n1 - e) + 1 / (x - e) + 1 / (n0 - x + e)))
  }, s$x1[varies], s$n1[varies], s$x0[varies], s$n0[varies])
  q <- sum(parts[1, ]^2 / parts[2, ]); df <- sum(varies) - 1
  list(df = df, plain = pchisq(q, df, lower.tail = FALSE),
       tarone = pchisq(q - sum(parts[1, ])^2 / sum(parts[2, ]), df, lower.tail = FALSE))
}
answer <- function(s) {
  n <- s$n1 + s$n0; w <- s$n1 * s$n0 / n
  d <- sum(w * (s$x1 / s$n1 - s$x0 / s$n0)) / sum(w)
  P <- (s$n1^2 * s$x0 - s$n0^2 * s$x1 + s$n1 * s$n0 * (s$n0 - s$n1) / 2) / n^2
  Q <- (s$x1 * (s$n0 - s$x0) + s$x0 * (s$n1 - s$x1)) / (2 * n)
  se <- sqrt((d * sum(P) + sum(Q)) / sum(w)^2)
  array3 <- array(rbind(s$x1, s$x0, s$n1 - s$x1, s$n0 - s$x0), c(2, 2, length(n)))
  test <- mantelhaen.test(array3, correct = FALSE)
  limit <- function(target, a, b) uniroot(function(x) score(x, s) - target, c(a, b), tol = 1e-13, maxiter = 10000)$root
  list(counts = s, rd = d, sato_se = se, sato = d + c(-1, 1) * z * se, mn = c(limit(z, -1 + 1e-9, d), limit(-z, d, 1 - 1e-9)),
       cmh_p = test$p.value, or = unname(test$estimate), or_ci = as.numeric(test$conf.int), breslow_day = breslow_day(s, unname(test$estimate)))
}
generalised <- function(tables, scores = NULL) {
  R <- dim(tables)[1]; C <- dim(tables)[2]
  B <- if (is.null(scores)) kronecker(diag(C)[-C, , drop = FALSE], diag(R)[-R, , drop = FALSE]) else kronecker(t(scores), diag(R)[-R, , drop = FALSE])
  G <- 0; V <- 0
  for (k in seq_len(dim(tables)[3])) {
    t <- tables[, , k]; n <- sum(t); r <- rowSums(t) / n; c <- colSums(t) / n
    G <- G + B %*% (as.vector(t) - as.vector(n * outer(r, c)))
    V <- V + B %*% (n^2 / (n - 1) * kronecker(diag(c) - outer(c, c), diag(r) - outer(r, r))) %*% t(B)
  }
  q <- drop(t(G) %*% solve(V, G)); list(statistic = q, df = nrow(B), p = pchisq(q, nrow(B), lower.tail = FALSE))
}
# Job satisfaction by income and gender, Agresti 2002, table 7.8 (also in R's example(mantelhaen.test)).
satisfaction <- array(c(1, 2, 0, 0, 3, 3, 1, 2, 11, 17, 8, 4, 2, 3, 5, 2, 1, 0, 0, 0, 1, 3, 0, 1, 2, 5, 7, 9, 1, 1, 3, 6), c(4, 4, 2))
two_by_three <- array(c(8, 3, 5, 6, 7, 12, 4, 2, 6, 3, 3, 9), c(2, 3, 2))
general <- function(a) { t <- mantelhaen.test(a); list(statistic = unname(t$statistic), df = unname(t$parameter), p = t$p.value) }
as_strata <- function(a) lapply(seq_len(dim(a)[3]), function(k) a[, , k])
write_json(list(program = R.version.string, source = "oracle.R", tolerance = 1e-8, tolerance_kind = "absolute",
                two = lapply(data, answer),
                generalised = list(
                  list(tables = as_strata(satisfaction), scores = c(1, 3, 4, 5), general = general(satisfaction), row_means = generalised(satisfaction, c(1, 3, 4, 5))),
                  list(tables = as_strata(two_by_three), scores = 1:3, general = general(two_by_three), row_means = generalised(two_by_three, 1:3))),
                published = list(
                  list(data = "hartung_knapp", quantity = "mn", value = c(0.245286, 0.369981), tolerance = 1e-6, source = "R ratesci, MH weights, no skewness correction (validation file of ratesci-sas)"),
                  list(data = "lu", quantity = "mn", value = c(0.1963, 0.5381), tolerance = 6e-5, source = "Lu 2008, ASA Biopharmaceutical Section"),
                  list(data = "twins", quantity = "mn", value = c(-0.1606, 0.4338), tolerance = 6e-5, source = "help page of R cicalc ci_prop_diff_mn_strata"),
                  list(data = "laud", quantity = "cmh_p", value = 0.0485, tolerance = 6e-5, source = "SAS PROC FREQ, quoted in ratesci-sas"),
                  list(data = "satisfaction", quantity = "general", value = 0.3345, tolerance = 6e-5, source = "Agresti 2002, table 7.12 (SAS)"),
                  list(data = "satisfaction", quantity = "row_means", value = 0.0288, tolerance = 6e-5, source = "Agresti 2002, table 7.12 (SAS)"))),
           "answers.json", digits = NA, auto_unbox = TRUE, pretty = TRUE)
