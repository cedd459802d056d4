# Reference answers for the posterior of a risk difference: R's adaptive integrate over the control risk, split at its
# mode. Run in this folder: Rscript oracle.R
library(jsonlite)
priors <- list(flat = c(1, 1, 1, 1), sceptical = c(10, 10, 10, 10), enthusiastic = c(12, 8, 8, 12))
tables <- list(c(37, 50, 34, 49), c(43, 58, 39, 56), c(0, 10, 5, 10), c(10, 10, 0, 20), c(3, 4, 300, 1000), c(300, 1000, 3, 4), c(0, 7, 0, 7))
split_integral <- function(f, a, b) {
  at <- sort(unique(c(a, pmin(pmax(seq(0, 1, 0.02), a), b), b)))
  sum(mapply(function(l, u) integrate(f, l, u, rel.tol = 1e-12, abs.tol = 1e-16, subdivisions = 2000)$value, head(at, -1), tail(at, -1)))
}
answer <- function(t, name) {
  p <- priors[[name]]; T <- c(p[1] + t[1], p[2] + t[2] - t[1]); C <- c(p[3] + t[3], p[4] + t[4] - t[3])
  exceed <- function(d) { a <- max(0, -d); b <- min(1, 1 - d)
    split_integral(function(u) dbeta(u, C[1], C[2]) * pbeta(u + d, T[1], T[2], lower.tail = FALSE), a, b) + pbeta(a, C[1], C[2]) }
  density <- function(d) split_integral(function(u) dbeta(u, C[1], C[2]) * dbeta(u + d, T[1], T[2]), max(0, -d), min(1, 1 - d))
  limit <- function(q) uniroot(function(d) exceed(d) - q, c(-1 + 1e-9, 1 - 1e-9), tol = 1e-12)$root
  list(counts = t, prior = name, mean = T[1] / sum(T) - C[1] / sum(C), lower = limit(0.975), upper = limit(0.025),
       benefit = exceed(0), margin = exceed(0.1), density = sapply(c(-0.3, 0, 0.05, 0.4), density))
}
cases <- expand.grid(t = seq_along(tables), name = names(priors), stringsAsFactors = FALSE)
write_json(list(program = R.version.string, source = "oracle.R", tolerance = 1e-8, tolerance_kind = "absolute", density_at = c(-0.3, 0, 0.05, 0.4),
                cases = Map(function(i, name) answer(tables[[i]], name), cases$t, cases$name) |> unname()),
           "answers.json", digits = NA, auto_unbox = TRUE, pretty = TRUE)
