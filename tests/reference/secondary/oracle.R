# Answers for tests/analyses/test_secondary.py, test_times.py and test_subgroups.py, from the raw tables in data/.
# Everything is derived anew here: changes, response, rescue, times. Run in this folder: Rscript oracle.R
suppressMessages({library(nlme); library(emmeans); library(survival); library(jsonlite)})
read <- function(name) read.csv(file.path("data", paste0(name, ".csv")), colClasses = "character", na.strings = "")
num <- function(x) as.numeric(x)
adsl <- subset(read("adsl"), RANDFL == "Y")
adqs <- read("adqs"); adcm <- read("adcm")
adqs <- transform(adqs, AVAL = num(AVAL), ADY = num(ADY), AVISITN = num(AVISITN))
arm_of <- setNames(ifelse(adsl$TRT01P == "BM-MSC", "treatment", "control"), adsl$USUBJID)
long <- function(code) {
  d <- subset(adqs, PARAMCD == code & !is.na(AVAL))
  base <- subset(d, AVISITN == 0)
  d$BASE <- base$AVAL[match(d$USUBJID, base$USUBJID)]
  d <- subset(d, AVISITN > 0 & !is.na(BASE))
  d$CHG <- d$AVAL - d$BASE
  d$ARM <- factor(arm_of[d$USUBJID], levels = c("control", "treatment"))
  d$COUNTRY <- factor(adsl$COUNTRY[match(d$USUBJID, adsl$USUBJID)])
  d$VISIT <- factor(d$AVISITN); d$i <- as.integer(d$VISIT)
  d[order(d$USUBJID, d$AVISITN), ]
}
mixed <- function(code) {
  d <- long(code)
  f <- gls(CHG ~ VISIT + ARM:VISIT + BASE:VISIT + COUNTRY, d, correlation = corSymm(form = ~ i | USUBJID),
           weights = varIdent(form = ~ 1 | VISIT), method = "REML",
           control = glsControl(maxIter = 500, msMaxIter = 500, tolerance = 1e-10, msTol = 1e-10))
  e <- emmeans(f, ~ ARM | VISIT, mode = "asymptotic", data = d)
  m <- as.data.frame(e); p <- as.data.frame(pairs(e, reverse = TRUE))
  g <- sapply(split(d, d$VISIT), function(v) {
    x <- v$CHG[v$ARM == "treatment"]; y <- v$CHG[v$ARM == "control"]
    k <- length(x) + length(y) - 2
    s <- sqrt(((length(x) - 1) * var(x) + (length(y) - 1) * var(y)) / k)
    exp(lgamma(k / 2) - lgamma((k - 1) / 2)) / sqrt(k / 2) * (mean(x) - mean(y)) / s })
  least <- c(VASPAIN = -20, ODI = -10, SF36PCS = 5)[[code]]
  better <- if (least < 0) d$CHG <= least + 1e-9 else d$CHG >= least - 1e-9
  count <- aggregate(cbind(x = better, n = 1) ~ VISIT + ARM, d, sum)
  complete <- d[d$USUBJID %in% names(which(table(d$USUBJID) == 5)), ]
  aov <- summary(aov(CHG ~ ARM * VISIT + Error(USUBJID / VISIT), complete))
  between <- aov[["Error: USUBJID"]][[1]]; within <- aov[["Error: USUBJID:VISIT"]][[1]]
  welch <- sapply(split(complete, complete$VISIT), function(v) {
    x <- v$CHG[v$ARM == "treatment"]; y <- v$CHG[v$ARM == "control"]
    t <- t.test(x, y, var.equal = length(x) == length(y)); c(t$statistic, t$parameter, t$p.value) })
  list(deviance = -2 * as.numeric(logLik(f)),
       lsmeans = data.frame(visit = m$VISIT, arm = m$ARM, value = m$emmean, se = m$SE),
       differences = data.frame(visit = p$VISIT, value = p$estimate, se = p$SE),
       g = unname(g), important = count, n_complete = length(unique(complete$USUBJID)),
       anova = list(arm = between["ARM", ], visit = within[1, ], interaction = within[2, ]),
       t = unname(welch[1, ]), t_df = unname(welch[2, ]), t_p = unname(welch[3, ]))
}
# Response by the default rules, rescue making a non-responder.
visits <- c(1, 3, 6, 12, 24)
nominal <- round(30.4375 * visits) + 1
cell <- function(id, code, visit, what = "AVAL") {
  v <- adqs[[what]][adqs$USUBJID == id & adqs$PARAMCD == code & adqs$AVISITN == visit]
  if (length(v)) v else NA }
rescue_day <- sapply(adsl$USUBJID, function(id) {
  c <- subset(adcm, USUBJID == id)
  hit <- (c$CMCAT %in% c("SPINAL INJECTION", "SURGERY") | (c$CMCAT == "OPIOID" & adsl$OPIOIDBL[adsl$USUBJID == id] != "Y")) &
    num(c$ASTDY) > 1
  suppressWarnings(min(num(c$ASTDY)[which(hit)])) })
state <- t(sapply(adsl$USUBJID, function(id) sapply(seq_along(visits), function(k) {
  v0 <- cell(id, "VASPAIN", 0); v <- cell(id, "VASPAIN", visits[k]); o0 <- cell(id, "ODI", 0); o <- cell(id, "ODI", visits[k])
  known <- (v0 - v >= max(20, .2 * v0) - 1e-9) | (o0 - o >= .2 * o0 - 1e-9)
  day <- suppressWarnings(max(cell(id, "VASPAIN", visits[k], "ADY"), cell(id, "ODI", visits[k], "ADY"), na.rm = TRUE))
  if (!is.finite(day)) day <- nominal[k]
  rescued <- rescue_day[[id]] <= day
  c(if (rescued) FALSE else known, !is.na(known)) })))
odd <- seq(1, 10, 2)
response <- state[, odd] == 1; known <- state[, odd + 1] == 1
first <- data.frame(id = adsl$USUBJID, arm = arm_of[adsl$USUBJID])
seen <- sapply(seq_len(nrow(first)), function(i) c(which(known[i, ] & response[i, ] %in% TRUE), NA)[1])
first$event <- !is.na(seen)
last <- apply(known, 1, function(k) if (any(k)) visits[max(which(k))] else 0)
first$time <- ifelse(first$event, visits[seen], last)
end <- num(adsl$EOSDY)
rescue <- data.frame(arm = first$arm, event = rescue_day <= end, time = pmin(rescue_day, end) / 30.4375)
times <- function(d) {
  d$arm <- factor(d$arm, levels = c("control", "treatment"))
  cox <- coxph(Surv(time, event) ~ arm, d); f <- survfit(Surv(time, event) ~ arm, d, conf.type = "log-log")
  mean12 <- summary(f, rmean = 12)$table[, c("rmean", "se(rmean)")]
  at12 <- summary(f, times = 12, extend = TRUE)
  list(events = tapply(d$event, d$arm, sum), n = tapply(d$event, d$arm, length),
       log_rank = survdiff(Surv(time, event) ~ arm, d)$chisq, hr = exp(coef(cox))[[1]],
       ph_p = tryCatch(cox.zph(cox)$table[1, 3], error = function(e) NA),
       rmst = unname(mean12[, 1]), rmst_se = unname(mean12[, 2]), survival12 = at12$surv,
       lower12 = at12$lower, upper12 = at12$upper)
}
# Interactions at month 12, complete cases.
adsl$response <- response[, 4]; adsl$arm <- arm_of[adsl$USUBJID]
bmi <- num(adsl$WEIGHTBL) / (num(adsl$HEIGHTBL) / 100)^2
vas0 <- sapply(adsl$USUBJID, cell, "VASPAIN", 0)
groups <- list(sex = adsl$SEX, age = num(adsl$AGE) >= 45, bmi = bmi >= 25, pfirrmann = num(adsl$PFIRRBL) >= 6,
               modic = num(adsl$MODICBL) >= 1, country = adsl$COUNTRY, vasbl = vas0 >= 70)
interaction <- lapply(groups, function(g) {
  d <- data.frame(y = adsl$response, arm = adsl$arm, g = factor(g)); d <- d[!is.na(d$y) & !is.na(d$g), ]
  full <- suppressWarnings(glm(y ~ arm * g, binomial, d)); additive <- suppressWarnings(glm(y ~ arm + g, binomial, d))
  t <- xtabs(~ g + arm + y, d)
  list(p = anova(additive, full, test = "LRT")[2, 5], separated = any(t == 0),
       counts = as.data.frame(t, responseName = "n")) })
write_json(list(
  source = paste0(R.version.string, ", nlme ", packageVersion("nlme"), ", emmeans ", packageVersion("emmeans"),
                  ", survival ", packageVersion("survival")),
  tolerance = "mixed model: 1e-4 of the estimate, 5e-4 of the standard error; others 1e-6 relative",
  scores = lapply(setNames(nm = c("VASPAIN", "ODI", "SF36PCS")), mixed),
  response = times(first), rescue = times(rescue), interaction = interaction),
  "answers.json", auto_unbox = TRUE, digits = 12, dataframe = "rows", pretty = 1, na = "null")
