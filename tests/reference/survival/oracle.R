# Answers for tests/stats/test_survival.py. Run in this folder: Rscript oracle.R
suppressMessages({library(survival); library(jsonlite)})
answer <- function(d, taus, strata = NULL) {
  d$arm <- factor(d$arm, levels = c("control", "treatment"))
  f <- survfit(Surv(time, event) ~ arm, d, conf.type = "log-log")
  s <- summary(f)
  cox <- coxph(Surv(time, event) ~ arm, d, ties = "efron")
  lr <- survdiff(Surv(time, event) ~ arm, d)
  med <- summary(f)$table
  out <- list(
    curve = data.frame(arm = sub("arm=", "", s$strata), time = s$time, at_risk = s$n.risk, events = s$n.event,
                       survival = s$surv, lower = s$lower, upper = s$upper),
    median = data.frame(arm = sub("arm=", "", rownames(med)), median = med[, "median"],
                        lower = med[, "0.95LCL"], upper = med[, "0.95UCL"]),
    log_rank = list(chi_square = lr$chisq, p = pchisq(lr$chisq, 1, lower.tail = FALSE)),
    cox = list(log_hr = unname(coef(cox)), se = sqrt(vcov(cox)[1, 1]), p = summary(cox)$coefficients[1, 5]),
    zph = lapply(setNames(nm = c("km", "identity", "rank", "log")), function(tr)
      tryCatch({z <- cox.zph(cox, transform = tr)$table; list(chi_square = z[1, 1], p = z[1, 3])}, error = function(e) NULL)),
    rmst = lapply(taus, function(tau) {
      tab <- summary(f, rmean = tau)$table
      m <- tab[, "rmean"]; v <- tab[, "se(rmean)"]^2
      d <- m[2] - m[1]; se <- sqrt(sum(v)); lr <- log(m[2] / m[1]); sl <- sqrt(sum(v / m^2))
      list(tau = tau, control = m[[1]], control_se = sqrt(v[[1]]), treatment = m[[2]], treatment_se = sqrt(v[[2]]),
           difference = d[[1]], difference_se = se, p = 2 * pnorm(-abs(d[[1]] / se)),
           ratio = exp(lr)[[1]], ratio_lower = exp(lr - qnorm(.975) * sl)[[1]], ratio_upper = exp(lr + qnorm(.975) * sl)[[1]])
    }))
  if (!is.null(d$stratum)) {
    sl <- survdiff(Surv(time, event) ~ arm + strata(stratum), d)
    sc <- coxph(Surv(time, event) ~ arm + strata(stratum), d, ties = "efron")
    z <- cox.zph(sc)$table
    out$stratified <- list(chi_square = sl$chisq, log_hr = unname(coef(sc)), se = sqrt(vcov(sc)[1, 1]),
                           zph = z[1, 1], zph_p = z[1, 3])
  }
  out
}
waltons <- read.csv("waltons.csv")
waltons <- data.frame(time = waltons$T, event = waltons$E, arm = ifelse(waltons$group == "control", "control", "treatment"))
set.seed(11)
n <- 114
visits <- c(1, 3, 6, 12, 24)
trial <- data.frame(arm = rep(c("treatment", "control"), c(58, 56)), stratum = sample(c("FRA", "ESP", "ITA", "DEU"), n, TRUE))
raw <- rexp(n, ifelse(trial$arm == "treatment", .13, .09))
end <- sample(visits, n, TRUE, c(.02, .03, .05, .2, .7))
seen <- sapply(raw, function(x) c(visits[visits >= x], Inf)[1])
trial$time <- pmin(seen, end); trial$event <- as.integer(seen <= end)
trial$left <- ifelse(trial$event == 1, c(0, visits)[match(trial$time, visits)], trial$time)
skipped <- trial$event == 1 & trial$time > 1 & runif(n) < .25
trial$left[skipped] <- pmax(0, sapply(trial$left[skipped], function(x) c(0, visits)[match(x, c(0, visits)) - 1]))
trial$right <- ifelse(trial$event == 1, trial$time, NA)
write.csv(trial, "trial.csv", row.names = FALSE)
# Tied times on both sides of one half, an exact plateau there, and an arm whose last time is an event.
small <- data.frame(time = c(1, 2, 3, 4, 5, 6, 1, 2, 2, 4, 7, 9), event = c(1, 1, 1, 0, 0, 1, 1, 0, 1, 1, 0, 0),
                    arm = rep(c("treatment", "control"), each = 6))
write.csv(small, "small.csv", row.names = FALSE)
turnbull <- survfit(Surv(left, ifelse(is.na(right), Inf, right), type = "interval2") ~ 1, trial)
write_json(list(
  source = paste(R.version.string, "survival", packageVersion("survival")),
  tolerance = "1e-6 relative; interval-censored 1e-3 absolute (R stops its iterations early)",
  waltons = answer(waltons, c(10, 60)), trial = answer(trial, c(12, 24)), small = answer(small, c(4, 6)),
  turnbull = data.frame(time = turnbull$time, survival = turnbull$surv)
), "answers.json", digits = NA, auto_unbox = TRUE, na = "null", pretty = TRUE)
