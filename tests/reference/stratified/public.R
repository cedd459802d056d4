# Reference answers on public tables: Berkeley admissions, Copenhagen housing satisfaction, hair and eye colour (all in
# R), the migraine trial of the SAS PROC FREQ documentation, and the stratified Newcombe case of the R package tern.
# Independent of respine and of oracle.R: Wilson limits by prop.test, score limits by bisection, row mean scores from the
# strata's mean scores. Run in this folder: Rscript public.R
library(jsonlite)
z <- qnorm(0.975)
berkeley <- list(x1 = UCBAdmissions[1, 1, ], n1 = colSums(UCBAdmissions[, 1, ]), x0 = UCBAdmissions[1, 2, ], n0 = colSums(UCBAdmissions[, 2, ]))
migraine <- list(x1 = c(16, 12), n1 = c(27, 28), x0 = c(5, 7), n0 = c(25, 26))
set.seed(1)  # tern's test data, drawn as there
response <- c(sample(c(TRUE, FALSE), size = 40, prob = c(3 / 4, 1 / 4), replace = TRUE), sample(c(TRUE, FALSE), size = 40, prob = c(1 / 2, 1 / 2), replace = TRUE))
treated <- rep(c(TRUE, FALSE), each = 40)
stratum <- interaction(data.frame(f1 = sample(c("a", "b"), 80, TRUE), f2 = sample(c("x", "y", "z"), 80, TRUE), stringsAsFactors = TRUE))
by <- function(keep, value) as.numeric(tapply(value[keep], stratum[keep], sum))
tern <- list(x1 = by(treated, response), n1 = by(treated, 1 + 0 * response), x0 = by(!treated, response), n0 = by(!treated, 1 + 0 * response))
full <- list(x1 = c(4, 9, 0), n1 = c(4, 9, 3), x0 = c(0, 2, 0), n0 = c(5, 8, 2))

bisect <- function(above, low, high) { for (i in 1:100) { m <- (low + high) / 2; if (isTRUE(above(m))) low <- m else high <- m }; (low + high) / 2 }
part <- function(x, p) if (x == 0) 0 else x / p
score <- function(d, s) { sums <- rowSums(mapply(function(x1, n1, x0, n0) {
    p <- bisect(function(p) part(x1, p + d) - part(n1 - x1, 1 - p - d) + part(x0, p) - part(n0 - x0, 1 - p) > 0, max(0, -d), min(1, 1 - d)); q <- p + d
    n <- n1 + n0; w <- n1 * n0 / n; c(w * (x1 / n1 - x0 / n0 - d), w^2 * (q * (1 - q) / n1 + p * (1 - p) / n0) * n / (n - 1)) }, s$x1, s$n1, s$x0, s$n0))
  sums[1] / sqrt(sums[2]) }
stratified_wilson <- function(x, n, w) { v <- x / n * (1 - x / n) / n
  level <- 2 * pnorm(z * sqrt(sum(w^2 * v)) / sum(w * sqrt(v))) - 1
  limits <- mapply(function(x, n) as.numeric(prop.test(x, n, conf.level = level, correct = FALSE)$conf.int), x, n); drop(limits %*% w) }
newcombe <- function(s, d, w) { w <- w / sum(w); if (all(s$x1 * (s$n1 - s$x1) == 0)) return(NULL)  # the formula is 0 / 0
  a <- stratified_wilson(s$x1, s$n1, w); b <- stratified_wilson(s$x0, s$n0, w)
  share1 <- sum(w^2 / s$n1); share0 <- sum(w^2 / s$n0)
  c(d - z * sqrt(share1 * a[1] * (1 - a[1]) + share0 * b[2] * (1 - b[2])), d + z * sqrt(share1 * a[2] * (1 - a[2]) + share0 * b[1] * (1 - b[1]))) }
answer <- function(s) {
  s <- lapply(s, as.numeric); n <- s$n1 + s$n0; w <- s$n1 * s$n0 / n; d <- sum(w * (s$x1 / s$n1 - s$x0 / s$n0)) / sum(w)
  P <- (s$n1^2 * s$x0 - s$n0^2 * s$x1 + s$n1 * s$n0 * (s$n0 - s$n1) / 2) / n^2; Q <- (s$x1 * (s$n0 - s$x0) + s$x0 * (s$n1 - s$x1)) / (2 * n)
  test <- mantelhaen.test(array(rbind(s$x1, s$x0, s$n1 - s$x1, s$n0 - s$x0), c(2, 2, length(n))), correct = FALSE)
  list(counts = s, rd = d, mn = c(bisect(function(d) score(d, s) > z, -1, 1), bisect(function(d) score(d, s) > -z, -1, 1)), newcombe = newcombe(s, d, w),
       sato_se = sqrt((d * sum(P) + sum(Q)) / sum(w)^2), cmh_p = test$p.value, or = unname(test$estimate), or_ci = as.numeric(test$conf.int))
}
row_means <- function(a, scores) { q <- 0; g <- 0; keep <- seq_len(dim(a)[1] - 1)  # mean scores of the rows against their stratum
  for (k in seq_len(dim(a)[3])) { t <- a[, , k]; n <- sum(t); r <- rowSums(t); m <- sum(colSums(t) * scores) / n; v <- sum(colSums(t) * (scores - m)^2) / (n - 1)
    g <- g + (drop(t %*% scores) - r * m)[keep]; q <- q + (v * (diag(r) - outer(r, r) / n))[keep, keep] }
  x <- sum(g * solve(q, g)); list(df = length(keep), p = pchisq(x, length(keep), lower.tail = FALSE)) }
general <- function(a) { t <- mantelhaen.test(a); list(df = unname(t$parameter), p = t$p.value) }
housing <- xtabs(Freq ~ Infl + Sat + Type + Cont, MASS::housing); dim(housing) <- c(3, 3, 8)
hair <- unclass(HairEyeColor); dimnames(hair) <- NULL
strata <- function(a) lapply(seq_len(dim(a)[3]), function(k) matrix(a[, , k], nrow = dim(a)[1]))
options(warn = -1)
sas <- "SAS/STAT User's Guide, PROC FREQ, example 'Cochran-Mantel-Haenszel Statistics' (Migraine)"
write_json(list(program = R.version.string, packages = list(MASS = as.character(packageVersion("MASS"))), source = "public.R", tolerance = 1e-8, tolerance_kind = "relative",
                two = list(berkeley = answer(berkeley), migraine = answer(migraine), tern = answer(tern), full = answer(full)),
                generalised = list(housing = list(tables = strata(housing), scores = 1:3, general = general(housing), row_means = row_means(housing, 1:3)),
                                   hair = list(tables = strata(hair), scores = c(1, 2, 4, 8), general = general(hair), row_means = row_means(hair, c(1, 2, 4, 8)))),
                published = list(list(data = "migraine", quantity = "cmh_p", value = 0.0040, tolerance = 5e-5, source = sas),
                                 list(data = "migraine", quantity = "or", value = c(3.3132, 1.4456, 7.5934), tolerance = 5e-5, source = sas),
                                 list(data = "migraine", quantity = "breslow_day_p", value = 0.2218, tolerance = 5e-5, source = sas),
                                 list(data = "tern", quantity = "newcombe", value = c(0.25390590, 0.03467969, 0.44544132), tolerance = 1e-8,
                                      source = "R package tern, test 'prop_diff_strat_nc output matches equivalent SAS function output' (PROC FREQ, COMMONRISKDIFF(CL=NEWCOMBE))"))),
           "public.json", digits = NA, auto_unbox = TRUE, pretty = TRUE)
