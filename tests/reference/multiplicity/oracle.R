# Reference answers for multiple tests: p.adjust, and for the sequential procedures the smallest alpha at which the
# procedure, run step by step, rejects (bisection). Run in this folder: Rscript oracle.R
library(jsonlite)
run_fallback <- function(p, w, alpha) { carry <- 0; out <- logical(length(p))
  for (i in seq_along(p)) { level <- w[i] * alpha + carry; out[i] <- p[i] <= level; carry <- if (out[i]) level else 0 }; out }
run_sequence <- function(p, alpha) { open <- TRUE; out <- logical(length(p))
  for (i in seq_along(p)) { out[i] <- open && p[i] <= alpha; open <- out[i] }; out }
smallest <- function(run, i) { if (!run(1)[i]) return(1); low <- 0; high <- 1
  for (k in 1:60) { mid <- (low + high) / 2; if (run(mid)[i]) high <- mid else low <- mid }; high }
sets <- list(list(p = c(0.01, 0.04, 0.03, 0.005), w = c(0.25, 0.25, 0.25, 0.25)), list(p = c(0.77, 0.012), w = c(0.8, 0.2)),
             list(p = c(0.012, 0.04, 0.2, 0.049, 0.0004), w = c(0.4, 0.3, 0.1, 0.1, 0.1)), list(p = c(0.03, 0.03, 0.03), w = c(0.5, 0, 0.5)))
answer <- function(s) list(p = s$p, weights = s$w, holm = p.adjust(s$p, "holm"), hochberg = p.adjust(s$p, "hochberg"),
  benjamini_hochberg = p.adjust(s$p, "BH"),
  fallback = sapply(seq_along(s$p), function(i) smallest(function(a) run_fallback(s$p, s$w, a), i)),
  fixed_sequence = sapply(seq_along(s$p), function(i) smallest(function(a) run_sequence(s$p, a), i)))
write_json(list(program = R.version.string, source = "oracle.R", tolerance = 1e-12, tolerance_kind = "absolute",
                sets = lapply(sets, answer)), "answers.json", digits = NA, auto_unbox = TRUE, pretty = TRUE)
