# Answers for tests/stats/test_survival.py on four data sets of R's survival package. Run in this folder: Rscript public.R
suppressMessages({library(survival); library(jsonlite)})
pick <- function(d, time, event, treated, stratum, taus) {
  d <- data.frame(time = d[[time]], event = as.integer(event), treatment = as.integer(treated),
                  stratum = as.integer(factor(d[[stratum]])))
  list(data = d[complete.cases(d), ], taus = taus)
}
without <- subset(colon, etype == 2 & rx != "Lev")
cases <- list(
  lung = pick(lung, "time", lung$status == 2, lung$sex == 1, "ph.ecog", c(200, 500, 883)),
  veteran = pick(veteran, "time", veteran$status, veteran$trt == 2, "celltype", c(100, 300, 553)),
  ovarian = pick(ovarian, "futime", ovarian$fustat, ovarian$rx == 2, "ecog.ps", c(400, 700, 1100)),
  colon = pick(without, "time", without$status, without$rx == "Lev+5FU", "extent", c(1000, 2500, 2800))
)
close <- coxph.control(eps = 1e-12, toler.chol = 1e-13, iter.max = 50)
scales <- c("km", "identity", "rank", "log")
answers <- lapply(cases, function(case) {
  d <- case$data
  curve <- survfit(Surv(time, event) ~ treatment, d, conf.type = "log-log")
  table <- summary(curve)$table
  at <- summary(curve, times = case$taus[1])
  compare <- function(formula) {
    cox <- coxph(formula, d, ties = "efron", control = close)
    list(log_rank = survdiff(formula, d)$chisq, log_hr = coef(cox)[[1]], se = sqrt(vcov(cox)[1, 1]),
         zph = lapply(setNames(nm = scales), function(s) cox.zph(cox, transform = s)$table[1, 1]))
  }
  list(
    plain = compare(Surv(time, event) ~ treatment),
    stratified = compare(Surv(time, event) ~ treatment + strata(stratum)),
    # Rows: control, treatment.
    median = unname(table[, c("median", "0.95LCL", "0.95UCL")]),
    at = case$taus[1], survival = cbind(at$surv, at$lower, at$upper),
    restricted = lapply(case$taus, function(tau) {
      table <- summary(curve, rmean = tau)$table
      list(tau = tau, mean = unname(table[, "rmean"]), se = unname(table[, "se(rmean)"]))
    })
  )
})
for (name in names(cases)) write.csv(cases[[name]]$data, paste0(name, ".csv"), row.names = FALSE, quote = FALSE)
write_json(list(
  program = paste0(R.version.string, "; survival ", packageVersion("survival")), tolerance = 1e-6,
  answers = answers
), "public.json", digits = 14, auto_unbox = TRUE, pretty = TRUE, na = "null")
