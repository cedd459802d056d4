# Answers for tests/stats/test_rubin.py. Run in this folder: Rscript oracle.R
suppressMessages({library(mice); library(jsonlite)})
case <- function(q, u, dfcom) {
  r <- pool.scalar(q, u, n = dfcom + 1, k = 1)
  list(estimates = q, variances = u, df_complete = if (is.finite(dfcom)) dfcom else NULL, estimate = r$qbar, within = r$ubar,
       between = r$b, total = r$t, df = r$df, riv = r$r, fmi = r$fmi, se = sqrt(r$t),
       lower = r$qbar - qt(.975, r$df) * sqrt(r$t), upper = r$qbar + qt(.975, r$df) * sqrt(r$t),
       p = 2 * pt(-abs(r$qbar) / sqrt(r$t), r$df))
}
set.seed(3)
fits <- with(mice(nhanes, m = 20, print = FALSE, seed = 5), lm(bmi ~ chl + age))
co <- sapply(fits$analyses, function(f) coef(f)["chl"]); va <- sapply(fits$analyses, function(f) vcov(f)["chl", "chl"])
pooled <- summary(pool(fits)); pooled <- pooled[pooled$term == "chl", ]
write_json(list(
  source = paste(R.version.string, "mice", packageVersion("mice")), tolerance = "1e-9 relative (closed form)",
  cases = list(case(rnorm(50, .05, .03), runif(50, .007, .008), 107), case(rnorm(5), runif(5, .5, 1), 20),
               case(rnorm(100, 2), rep(.1, 100), Inf), case(unname(co), unname(va), 22)),
  pool = list(case = 3, estimate = pooled$estimate, se = pooled$std.error, df = pooled$df, p = pooled$p.value)
), "answers.json", digits = NA, auto_unbox = TRUE, null = "null", pretty = TRUE)
