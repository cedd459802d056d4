# Reference answers for published numbers: a plain loop over whole counts with R's own tests, and power.prop.test,
# power.t.test for sample sizes. Run in this folder: Rscript oracle.R
library(jsonlite)
counts <- function(percent, ns) do.call(rbind, lapply(ns, function(n) { x <- 0:n; keep <- floor(1000 * x / n + 5) %/% 10 == percent
  if (any(keep)) cbind(x[keep], n) }))
a <- counts(74, 40:58); b <- counts(69, 40:56)
pairs <- do.call(rbind, lapply(seq_len(nrow(a)), function(i) cbind(a[rep(i, nrow(b)), , drop = FALSE], b)))
options(warn = -1)
p <- t(apply(pairs, 1, function(t) { m <- matrix(c(t[1], t[3], t[2] - t[1], t[4] - t[3]), 2)
  c(pearson = chisq.test(m, correct = FALSE)$p.value, yates = chisq.test(m)$p.value, fisher = fisher.test(m)$p.value) }))
designs <- list(c(0.4, 0.7, 0.9), c(0.2, 0.5, 0.8), c(0.75, 0.95, 0.85), c(0.5, 0.52, 0.8))
write_json(list(program = R.version.string, source = "oracle.R", tolerance = 1e-8, tolerance_kind = "absolute",
                pairs = unname(pairs), p = list(pearson = unname(p[, 1]), yates = unname(p[, 2]), fisher = unname(p[, 3])),
                pooled = lapply(designs, function(d) list(control = d[1], treatment = d[2], power = d[3],
                  n = power.prop.test(p1 = d[1], p2 = d[2], power = d[3], sig.level = 0.05, strict = FALSE, tol = 1e-12)$n)),
                t_test = lapply(list(c(0.55, 0.8), c(0.75, 0.9), c(0.65, 0.8), c(1, 0.85)), function(d) list(effect = d[1], power = d[2],
                  n = ceiling(power.t.test(delta = d[1], power = d[2], strict = TRUE, tol = 1e-10)$n)))),
           "answers.json", digits = NA, auto_unbox = TRUE, pretty = TRUE)
