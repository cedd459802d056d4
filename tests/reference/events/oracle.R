# Answers for tests/stats/test_events.py. Run in this folder: Rscript oracle.R
suppressMessages(library(jsonlite))
newcombe <- function(x1, n1, x0, n0) {
  w <- function(x, n) prop.test(x, n, correct = FALSE)$conf.int
  a <- suppressWarnings(w(x1, n1)); b <- suppressWarnings(w(x0, n0)); p1 <- x1 / n1; p0 <- x0 / n0
  c(p1 - p0 - sqrt((p1 - a[1])^2 + (b[2] - p0)^2), p1 - p0 + sqrt((a[2] - p1)^2 + (p0 - b[1])^2))
}
rates <- lapply(list(c(0, 41.3), c(1, 12.5), c(17, 53.9), c(240, 610)), function(r) {
  t <- poisson.test(r[1], r[2]); list(events = r[1], exposure = r[2], rate = 100 * t$estimate[[1]], lower = 100 * t$conf.int[1], upper = 100 * t$conf.int[2])
})
ratios <- lapply(list(c(12, 50.2, 7, 48.8), c(0, 50, 4, 40), c(30, 10, 30, 30)), function(r) {
  t <- poisson.test(c(r[1], r[3]), c(r[2], r[4])); list(x1 = r[1], t1 = r[2], x0 = r[3], t0 = r[4], ratio = t$estimate[[1]], lower = t$conf.int[1], upper = t$conf.int[2], p = t$p.value)
})
tables <- data.frame(x1 = c(12, 0, 3, 5, 1), x0 = c(5, 4, 3, 9, 0), n1 = 58, n0 = 56)
tables$p <- mapply(function(a, b) fisher.test(matrix(c(a, 58 - a, b, 56 - b), 2))$p.value, tables$x1, tables$x0)
tables$q <- p.adjust(tables$p, "BH")
ci <- mapply(function(a, b) newcombe(a, 58, b, 56), tables$x1, tables$x0)
tables$lower <- ci[1, ]; tables$upper <- ci[2, ]
zero <- lapply(c(1, 7, 56, 114), function(n) list(n = n, bound = binom.test(0, n, alternative = "less")$conf.int[2]))
write_json(list(source = R.version.string, tolerance = "1e-6 relative", rates = rates, ratios = ratios, tables = tables, zero = zero),
           "answers.json", digits = NA, auto_unbox = TRUE, pretty = TRUE)
