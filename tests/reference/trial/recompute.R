# The report's numbers on the shipped data set, programmed a second time from the tables, the data contract and the
# analysis plan. Run in this folder: Rscript recompute.R (writes answers.json; one to four minutes), or for another data
# set: Rscript recompute.R FOLDER TREATMENT CONTROL OUTPUT.json.
# Ids are those of respine/analyses; README.md says what is covered, what is not, and what each tolerance class means.
suppressMessages({library(survival); library(nlme); library(emmeans); library(numDeriv); library(jsonlite)})
options(contrasts = c("contr.treatment", "contr.poly"), stringsAsFactors = FALSE)

# --- tables -----------------------------------------------------------------------------------------------------------
given <- commandArgs(trailingOnly = TRUE)
argument <- function(k, default) if (length(given) >= k) given[k] else default
folder <- argument(1, "../../../data/respine-synthetic")
files <- file.path(folder, paste0(c("adsl", "adqs", "admi", "adis", "adae", "adcm"), ".csv"))
tables <- setNames(lapply(files, read.csv, na.strings = "", colClasses = c(USUBJID = "character")), sub(".csv", "", basename(files)))
TREATMENT <- argument(2, "BM-MSC"); CONTROL <- argument(3, "Sham")
ROLES <- c("treatment", "control")
VISITS <- c(1, 3, 6, 12, 24)
PRIMARY <- 12
Z <- qnorm(0.975)
SLACK <- 1e-9
nominal_day <- function(month) round(30.4375 * month) + 1
visit_name <- function(month) ifelse(month == PRIMARY, "primary", paste0("m", month))

# --- answers ----------------------------------------------------------------------------------------------------------
answers <- list()
put <- function(id, value, ..., class = "closed") {
  if (id %in% names(answers)) stop("given twice: ", id)
  fields <- list(value = value, ...)
  answers[[id]] <<- c(lapply(fields, function(x) unname(as.numeric(x))), class = class)
}
put_count <- function(id, x, ...) put(id, x, ..., class = "count")
counted <- function(id, x) put_count(id, x, n = x)

# --- sets, baselines, rescue ------------------------------------------------------------------------------------------
adsl <- tables$adsl
role <- function(label) factor(ifelse(label == TREATMENT, "treatment", ifelse(label == CONTROL, "control", NA)), ROLES)
adsl$ITT <- adsl$RANDFL == "Y"
adsl$SAF <- !is.na(adsl$TRT01A)
adsl$ARM <- role(adsl$TRT01P)
adsl$ARMA <- role(adsl$TRT01A)
at <- function(table, code, month, column = "AVAL", ids = adsl$USUBJID) {
  rows <- table[table$PARAMCD == code & table$AVISITN == month, ]
  rows[[column]][match(ids, rows$USUBJID)]
}
for (x in list(c("VASBL", "VASPAIN"), c("ODIBL", "ODI"), c("PCSBL", "SF36PCS"), c("MCSBL", "SF36MCS")))
  adsl[[x[1]]] <- at(tables$adqs, x[2], 0)
adsl$T2BL <- at(tables$admi, "T2", 0)
adsl$BMIBL <- adsl$WEIGHTBL / (adsl$HEIGHTBL / 100)^2
has_change <- function(code) !is.na(at(tables$adqs, code, 0)) & rowSums(sapply(VISITS, function(m) !is.na(at(tables$adqs, code, m)))) > 0
adsl$MITT <- adsl$ITT & (has_change("VASPAIN") | has_change("ODI"))
adsl$PP <- adsl$MITT & adsl$PPROTFL %in% "Y"
cm <- merge(tables$adcm, adsl[c("USUBJID", "OPIOIDBL")])
rescues <- cm[cm$ASTDY > 1 & (cm$CMCAT %in% c("SPINAL INJECTION", "SURGERY") | (cm$CMCAT == "OPIOID" & !cm$OPIOIDBL %in% "Y")), ]
first_rescue <- tapply(rescues$ASTDY, rescues$USUBJID, min)
adsl$RESCUEDY <- as.numeric(first_rescue[adsl$USUBJID])
seen <- function(month, ids) !is.na(at(tables$adqs, "VASPAIN", month, ids = ids)) | !is.na(at(tables$adqs, "ODI", month, ids = ids))
itt <- adsl[adsl$ITT, ]
mitt <- adsl[adsl$MITT, ]
saf <- adsl[adsl$SAF, ]; saf$ARM <- saf$ARMA

# --- response ---------------------------------------------------------------------------------------------------------
# R's | and & are three-valued: TRUE | NA is TRUE, FALSE | NA is NA.
PLAN <- list(vas_mm = 20, vas_percent = 20, odi = 20, relative = TRUE, rescue = TRUE)
response_at <- function(month, people = itt, rule = PLAN) {
  value <- function(code) at(tables$adqs, code, month, ids = people$USUBJID)
  day_of <- function(code) at(tables$adqs, code, month, "ADY", people$USUBJID)
  vas_gain <- people$VASBL - value("VASPAIN"); odi_gain <- people$ODIBL - value("ODI")
  vas <- vas_gain >= rule$vas_mm - SLACK & vas_gain >= rule$vas_percent / 100 * people$VASBL - SLACK
  odi <- people$ODIBL > 0 & odi_gain >= (if (rule$relative) rule$odi / 100 * people$ODIBL else rule$odi) - SLACK
  known <- !is.na(vas | odi)
  day <- pmax(day_of("VASPAIN"), day_of("ODI"), na.rm = TRUE); day[is.na(day)] <- nominal_day(month)
  if (rule$rescue) { rescued <- !is.na(people$RESCUEDY) & people$RESCUEDY <= day; vas[rescued] <- FALSE; odi[rescued] <- FALSE }
  data.frame(VAS = vas, ODI = odi, BOTH = vas & odi, RESPONSE = vas | odi, KNOWN = known)
}

# --- one and two proportions ------------------------------------------------------------------------------------------
wilson <- function(x, n) {
  p <- x / n; centre <- (p + Z^2 / (2 * n)) / (1 + Z^2 / n)
  half <- Z / (1 + Z^2 / n) * sqrt(p * (1 - p) / n + Z^2 / (4 * n^2))
  c(centre - half, centre + half)
}
clopper_pearson <- function(x, n) as.numeric(binom.test(x, n)$conf.int)
put_rate <- function(id, x, n, limits = wilson) {
  if (n == 0) return(put(id, NA, n = 0))
  ci <- limits(x, n); put(id, x / n, lower = ci[1], upper = ci[2], n = n)
}
both <- function(t) list(n = t[2] + t[4], n_treatment = t[2], n_control = t[4])
put2 <- function(id, t, ...) do.call(put, c(list(id, ...), both(t)))
newcombe <- function(t) {
  d <- t[1] / t[2] - t[3] / t[4]; a <- wilson(t[1], t[2]); b <- wilson(t[3], t[4])
  d + c(-1, 1) * c(sqrt((t[1] / t[2] - a[1])^2 + (b[2] - t[3] / t[4])^2), sqrt((a[2] - t[1] / t[2])^2 + (t[3] / t[4] - b[1])^2))
}
put_difference <- function(id, t, ...) { ci <- newcombe(t); put2(id, t, t[1] / t[2] - t[3] / t[4], lower = ci[1], upper = ci[2], ...) }
counts_of <- function(outcome, arm) {
  known <- !is.na(outcome)
  c(sum(outcome[known & arm == "treatment"]), sum(known & arm == "treatment"), sum(outcome[known & arm == "control"]), sum(known & arm == "control"))
}
put_arms <- function(place, t, limits = wilson) {
  put_rate(paste0(place, ".treatment"), t[1], t[2], limits); put_rate(paste0(place, ".control"), t[3], t[4], limits)
}
solve_for <- function(f, low, high) uniroot(f, c(low, high), tol = 1e-14, maxiter = 10000)$root
restricted <- function(x1, n1, x0, n0, p1_of, slope, low, high) {  # risk in control that maximises the likelihood on p1 = p1_of(p0)
  part <- function(x, p) if (x == 0) 0 else x / p
  g <- function(p0) { p1 <- p1_of(p0); slope * (part(x1, p1) - part(n1 - x1, 1 - p1)) + part(x0, p0) - part(n0 - x0, 1 - p0) }
  e <- (high - low) * 1e-14
  if (g(low + e) <= 0) low else if (g(high - e) >= 0) high else solve_for(g, low + e, high - e)
}
score_difference <- function(d, strata) {  # one row a stratum: x1, n1, x0, n0; Miettinen-Nurminen, Mantel-Haenszel weights
  terms <- apply(strata, 1, function(t) {
    p0 <- restricted(t[1], t[2], t[3], t[4], function(p) p + d, 1, max(0, -d), min(1, 1 - d)); p1 <- p0 + d
    n <- t[2] + t[4]; w <- t[2] * t[4] / n
    c(w * (t[1] / t[2] - t[3] / t[4] - d), w^2 * (p1 * (1 - p1) / t[2] + p0 * (1 - p0) / t[4]) * n / (n - 1))
  })
  sum(terms[1, ]) / sqrt(sum(terms[2, ]))
}
score_limits <- function(score, centre, low, high)
  c(solve_for(function(x) score(x) - Z, low, centre), solve_for(function(x) score(x) + Z, centre, high))
score_ratio <- function(logr, t, factor) {
  r <- exp(logr); p0 <- restricted(t[1], t[2], t[3], t[4], function(p) p * r, r, 0, min(1, 1 / r)); p1 <- p0 * r
  (t[1] / t[2] - r * t[3] / t[4]) / sqrt((p1 * (1 - p1) / t[2] + r^2 * p0 * (1 - p0) / t[4]) * factor)
}
normal_p <- function(z) 2 * pnorm(-abs(z))
conditional_odds <- function(t) {  # Fisher's noncentral hypergeometric; fisher.test's own roots stop at about 1e-4
  m <- t[1] + t[3]; support <- max(0, m - t[4]):min(t[2], m); base <- lchoose(t[2], support) + lchoose(t[4], m - support)
  prob <- function(l) { w <- base + support * l; w <- exp(w - max(w)); w / sum(w) }
  exp(c(solve_for(function(l) sum(support * prob(l)) - t[1], -30, 30), solve_for(function(l) sum(prob(l)[support >= t[1]]) - 0.025, -30, 30),
        solve_for(function(l) sum(prob(l)[support <= t[1]]) - 0.025, -30, 30)))
}
boschloo <- function(t) {  # twice the smaller one-sided p, as scipy has it
  one_sided <- function(greater) {
    p <- outer(0:t[2], 0:t[4], function(a, b) if (greater) phyper(a - 1, t[2], t[4], a + b, lower.tail = FALSE) else phyper(a, t[2], t[4], a + b))
    extreme <- p <= p[t[1] + 1, t[3] + 1] * (1 + 1e-10)
    size <- function(q) sum(outer(dbinom(0:t[2], t[2], q), dbinom(0:t[4], t[4], q))[extreme])
    q <- seq(0, 1, length.out = 2001); best <- which.max(sapply(q, size))
    optimize(size, c(q[max(1, best - 1)], q[min(2001, best + 1)]), maximum = TRUE, tol = 1e-12)$objective
  }
  min(1, 2 * min(one_sided(TRUE), one_sided(FALSE)))
}

# --- mean differences -------------------------------------------------------------------------------------------------
noncentral <- function(t, df, probability) {
  solve_for(function(delta) suppressWarnings(pt(t, df, delta)) - probability, t - 10, t + 10)
}
hedges_g <- function(x, y) {
  x <- x[!is.na(x)]; y <- y[!is.na(y)]; m <- length(x) + length(y) - 2
  s <- sqrt((sum((x - mean(x))^2) + sum((y - mean(y))^2)) / m); J <- gamma(m / 2) / (sqrt(m / 2) * gamma((m - 1) / 2))
  u <- sqrt(1 / length(x) + 1 / length(y)); d <- (mean(x) - mean(y)) / s
  c(J * d, J * u * noncentral(d / u, m, 0.975), J * u * noncentral(d / u, m, 0.025), m, length(x), length(y))
}
put_g <- function(id, value, arm) {
  g <- hedges_g(value[arm == "treatment"], value[arm == "control"])
  put(id, g[1], lower = g[2], upper = g[3], df = g[4], n = g[5] + g[6], n_treatment = g[5], n_control = g[6])
}
changes <- function(table, code, people) {  # long: one row a participant and visit with baseline and value
  rows <- table[table$PARAMCD == code & !is.na(table$AVAL) & table$USUBJID %in% people$USUBJID, ]
  base <- rows[rows$AVISITN == 0, ]
  rows <- rows[rows$AVISITN > 0, ]
  rows$BASE <- base$AVAL[match(rows$USUBJID, base$USUBJID)]
  rows <- rows[!is.na(rows$BASE), ]
  rows$CHG <- rows$AVAL - rows$BASE
  who <- match(rows$USUBJID, people$USUBJID)
  rows$ARM <- factor(people$ARM[who], rev(ROLES)); rows$COUNTRY <- factor(people$COUNTRY[who])
  rows[order(rows$USUBJID, rows$AVISITN), ]
}
slug <- function(text) substr(gsub("^_+|_+$", "", gsub("[^a-z0-9]+", "_", tolower(text))), 1, 40)

# --- participants -----------------------------------------------------------------------------------------------------
local({
  counted("participants.screened", nrow(adsl)); counted("participants.excluded", sum(!adsl$ITT))
  reasons <- table(adsl$SCRFREAS[!adsl$ITT]); reasons <- reasons[order(-reasons, names(reasons))]
  for (k in seq_along(reasons)) counted(paste0("participants.excluded.r", k), reasons[[k]])
  counted("participants.randomised.overall", nrow(itt))
  counted("participants.centres", length(unique(itt$SITEID))); counted("participants.countries", length(unique(itt$COUNTRY)))
  for (r in ROLES) {
    arm <- itt[itt$ARM == r, ]; count <- function(name, x) counted(paste0("participants.", name, ".", r), x)
    count("randomised", nrow(arm)); count("as_allocated", sum(arm$ARMA %in% r)); count("not_treated", sum(is.na(arm$ARMA)))
    count("other_arm", sum(!is.na(arm$ARMA) & arm$ARMA != r))
    count("discontinued", sum(!is.na(arm$DCSREAS))); count("completed", sum(is.na(arm$DCSREAS)))
    for (why in unique(na.omit(arm$DCSREAS))) count(paste0("discontinued.", slug(why)), sum(arm$DCSREAS %in% why))
    count("set.itt", nrow(arm)); count("set.mitt", sum(mitt$ARM == r))
    count("set.pp", sum(adsl$PP & adsl$ARM %in% r)); count("set.saf", sum(saf$ARM == r))
    for (m in c(0, VISITS)) count(paste0("seen.m", m), sum(seen(m, arm$USUBJID)))
  }
})

# --- baseline ---------------------------------------------------------------------------------------------------------
smd <- function(x, y) (mean(x) - mean(y)) / sqrt((var(x) + var(y)) / 2)
yang_dalton <- function(x, y) {
  levels <- sort(unique(c(x, y)))[-1]
  p <- sapply(levels, function(l) mean(x == l)); q <- sapply(levels, function(l) mean(y == l))
  S <- (diag(p, length(p)) - p %o% p + diag(q, length(q)) - q %o% q) / 2
  sqrt(drop((p - q) %*% solve(S, p - q)))
}
local({
  groups <- list(treatment = itt$ARM == "treatment", control = itt$ARM == "control", overall = rep(TRUE, nrow(itt)))
  for (r in names(groups)) counted(paste0("baseline.n.", r), sum(groups[[r]]))
  columns <- list(age = itt$AGE, sex = itt$SEX, bmibl = itt$BMIBL, smokbl = itt$SMOKBL, workbl = itt$WORKBL, country = itt$COUNTRY,
                  paindur = itt$PAINDUR, disclvl = itt$DISCLVL, pfirrbl = itt$PFIRRBL, modicbl = itt$MODICBL, opioidbl = itt$OPIOIDBL,
                  vaspain = itt$VASBL, odi = itt$ODIBL, sf36pcs = itt$PCSBL, sf36mcs = itt$MCSBL, t2 = itt$T2BL)
  categorical <- c("sex", "smokbl", "workbl", "country", "disclvl", "pfirrbl", "modicbl", "opioidbl")
  for (name in names(columns)) {
    x <- columns[[name]]; place <- function(...) paste0("baseline.", name, ".", ...)
    for (r in names(groups)) {
      v <- x[groups[[r]]]; n <- sum(!is.na(v)); v <- v[!is.na(v)]
      put_count(place("missing.", r), sum(groups[[r]]) - n, n = n)
      if (name %in% categorical) for (l in sort(unique(na.omit(x)))) put(place(slug(l), ".", r), mean(v == l), n = n)
      else if (name == "paindur") {
        q <- quantile(v, c(0.25, 0.5, 0.75), type = 7)
        put(place("q1.", r), q[1], n = n); put(place("median.", r), q[2], n = n); put(place("q3.", r), q[3], n = n)
      } else { put(place("mean.", r), mean(v), n = n); put(place("sd.", r), sd(v), n = n) }
    }
    v1 <- na.omit(x[groups$treatment]); v0 <- na.omit(x[groups$control])
    put2(place("smd"), c(NA, length(v1), NA, length(v0)), if (name %in% categorical) yang_dalton(v1, v0) else smd(v1, v0))
  }
})

# --- co-primary 1: response at month 12 -------------------------------------------------------------------------------
primary <- cbind(itt, response_at(PRIMARY))
t12 <- counts_of(primary$RESPONSE, primary$ARM)
g_computation <- function(d, outcome = d$RESPONSE, adjusted = TRUE) {
  d$y <- as.numeric(outcome); d$a <- as.numeric(d$ARM == "treatment")
  d <- d[!is.na(d$y) & (!adjusted | (!is.na(d$VASBL) & !is.na(d$ODIBL))), ]; n <- nrow(d)
  fit <- glm(if (adjusted) y ~ a + factor(COUNTRY) + VASBL + ODIBL else y ~ a, binomial, d, epsilon = 1e-15, maxit = 100)
  X <- model.matrix(fit); X1 <- X0 <- X; X1[, "a"] <- 1; X0[, "a"] <- 0
  m1 <- drop(plogis(X1 %*% coef(fit))); m0 <- drop(plogis(X0 %*% coef(fit))); mu <- fitted(fit)
  r1 <- mean(m1); r0 <- mean(m0); share <- mean(d$a)
  psi <- cbind(d$a / share * (d$y - m1) + m1 - r1, (1 - d$a) / (1 - share) * (d$y - m0) + m0 - r0)
  random <- crossprod(psi) / n^2
  bread <- solve(crossprod(X, mu * (1 - mu) * X)); meat <- crossprod(X, (d$y - mu)^2 * X)
  gradient <- colMeans(m1 * (1 - m1) * X1) - colMeans(m0 * (1 - m0) * X0)
  list(t = counts_of(d$y, d$ARM), r1 = r1, r0 = r0, d = r1 - r0, se = sqrt(random[1, 1] + random[2, 2] - 2 * random[1, 2]),
       se_fixed = sqrt(drop(gradient %*% bread %*% meat %*% bread %*% gradient)),
       se_log_ratio = sqrt(random[1, 1] / r1^2 + random[2, 2] / r0^2 - 2 * random[1, 2] / (r1 * r0)))
}
put_wald <- function(id, t, d, se) put2(id, t, d, lower = d - Z * se, upper = d + Z * se, p = normal_p(d / se), se = se)
put_score <- function(id, t) {
  f <- function(x) score_difference(x, matrix(t, 1)); d <- t[1] / t[2] - t[3] / t[4]; ci <- score_limits(f, d, -1 + 1e-9, 1 - 1e-9)
  put2(id, t, d, lower = ci[1], upper = ci[2], p = normal_p(f(0)))
}
local({
  t <- t12; N <- t[2] + t[4]; m <- matrix(c(t[1], t[3], t[2] - t[1], t[4] - t[3]), 2)
  for (k in 1:2) {
    r <- ROLES[k]; randomised <- sum(itt$ARM == r)
    counted(paste0("response.randomised.", r), randomised); counted(paste0("response.known.", r), t[2 * k])
    counted(paste0("response.missing.", r), randomised - t[2 * k])
  }
  put_arms("response.rate", t)
  g <- g_computation(primary)
  put_wald("response.rd.complete", g$t, g$d, g$se); put_wald("response.rd.complete_fixed", g$t, g$d, g$se_fixed)
  l <- log(g$r1 / g$r0); se <- g$se_log_ratio
  put2("response.rr.complete", g$t, exp(l), lower = exp(l - Z * se), upper = exp(l + Z * se), p = normal_p(l / se))
  put_score("response.rd.mn", t)
  put_difference("response.rd.newcombe", t)
  rr <- log((t[1] / t[2]) / (t[3] / t[4])); katz <- sqrt(1 / t[1] - 1 / t[2] + 1 / t[3] - 1 / t[4])
  for (k in 1:2) {
    f <- function(l) score_ratio(l, t, c(1, N / (N - 1))[k]); ci <- exp(score_limits(f, rr, -20, 20))
    put2(c("response.rr.koopman", "response.rr.mn")[k], t, exp(rr), lower = ci[1], upper = ci[2], p = normal_p(f(0)))
  }
  put2("response.rr.katz", t, exp(rr), lower = exp(rr - Z * katz), upper = exp(rr + Z * katz), p = normal_p(rr / katz))
  fisher <- fisher.test(m)$p.value; o <- conditional_odds(t)
  put2("response.or.exact", t, o[1], lower = o[2], upper = o[3], p = fisher)
  w <- summary(glm(m ~ c(1, 0), family = binomial, epsilon = 1e-15))$coefficients[2, ]
  put2("response.or.wald", t, exp(w[1]), lower = exp(w[1] - Z * w[2]), upper = exp(w[1] + Z * w[2]), p = w[4])
  test <- function(name, p, ...) put2(paste0("response.test.", name), t, p, p = p, ...)
  test("pearson", chisq.test(m, correct = FALSE)$p.value, df = 1); test("yates", chisq.test(m)$p.value, df = 1)
  test("fisher", fisher); test("boschloo", boschloo(t))
  by_country <- t(sapply(split(primary, primary$COUNTRY), function(p) counts_of(p$RESPONSE, p$ARM)))
  cells <- apply(by_country, 1, function(s) c(s[1], s[3], s[2] - s[1], s[4] - s[3]))
  cmh <- mantelhaen.test(array(cells, c(2, 2, ncol(cells))), correct = FALSE)$p.value
  test("cmh", cmh, df = 1)
  w <- by_country[, 2] * by_country[, 4] / (by_country[, 2] + by_country[, 4])
  common <- sum(w * (by_country[, 1] / by_country[, 2] - by_country[, 3] / by_country[, 4])) / sum(w)
  ci <- score_limits(function(x) score_difference(x, by_country), common, -0.9, 0.9)
  put2("response.rd.stratified", t, common, lower = ci[1], upper = ci[2], p = cmh)
  for (part in c("VAS", "ODI", "BOTH")) {
    place <- paste0("response.component.", tolower(part)); counts <- counts_of(primary[[part]], primary$ARM)
    put_arms(place, counts); put_difference(paste0(place, ".difference"), counts)
  }
  priors <- list(flat = c(1, 1, 1, 1), sceptical = c(10, 10, 10, 10), enthusiastic = c(12, 8, 8, 12))
  for (name in names(priors)) {
    a <- priors[[name]]; A <- c(a[1] + t[1], a[2] + t[2] - t[1]); B <- c(a[3] + t[3], a[4] + t[4] - t[3])
    cuts <- function(low, high) sort(unique(c(low, pmin(pmax(seq(0, 1, 0.05), low), high), high)))
    exceed <- function(x) {
      at <- cuts(max(0, -x), min(1, 1 - x))
      density <- function(u) dbeta(u, B[1], B[2]) * pbeta(u + x, A[1], A[2], lower.tail = FALSE)
      pieces <- mapply(function(l, u) integrate(density, l, u, rel.tol = 1e-11, abs.tol = 1e-15)$value, head(at, -1), tail(at, -1))
      sum(pieces) + pbeta(max(0, -x), B[1], B[2])
    }
    limit <- function(q) solve_for(function(x) exceed(x) - q, -0.9, 0.9)
    variance <- function(v) prod(v) / (sum(v)^2 * (sum(v) + 1))
    place <- paste0("response.bayes.", name)
    mean <- A[1] / sum(A) - B[1] / sum(B); sd <- sqrt(variance(A) + variance(B))
    put2(paste0(place, ".difference"), t, mean, lower = limit(0.975), upper = limit(0.025), se = sd)
    put2(paste0(place, ".probability_benefit"), t, exceed(0)); put2(paste0(place, ".probability_margin"), t, exceed(0.10))
  }
})

# --- subgroups of the response ----------------------------------------------------------------------------------------
breslow_day <- function(cells) {  # with Tarone's correction; where a cell is empty the likelihood-ratio test would not do
  odds <- mantelhaen.test(cells)$estimate  # of the corner cell, by Mantel and Haenszel
  terms <- apply(cells, 3, function(m) {
    r <- sum(m[1, ]); k <- sum(m[, 1]); n <- sum(m); low <- max(0, r + k - n); high <- min(r, k)
    e <- solve_for(function(e) e * (n - r - k + e) - odds * (r - e) * (k - e), low, high)
    c(m[1, 1], e, 1 / (1 / e + 1 / (r - e) + 1 / (k - e) + 1 / (n - r - k + e)))
  })
  away <- terms[1, ] - terms[2, ]; v <- terms[3, ]
  pchisq(sum(away^2 / v) - sum(away)^2 / sum(v), ncol(terms) - 1, lower.tail = FALSE)
}
local({
  known <- primary[!is.na(primary$RESPONSE), ]
  cut_at <- function(x, cut) factor(ifelse(x < cut, paste0("lt", cut), paste0("ge", cut)), paste0(c("lt", "ge"), cut))
  groups <- list(sex = factor(known$SEX), age = cut_at(known$AGE, 45), bmi = cut_at(known$BMIBL, 25), pfirrmann = cut_at(known$PFIRRBL, 6),
                 modic = cut_at(known$MODICBL, 1), country = factor(known$COUNTRY), vasbl = cut_at(known$VASBL, 70))
  put_arms("subgroups.overall", t12); put_difference("subgroups.overall.difference", t12)
  for (name in names(groups)) {
    g <- groups[[name]]
    for (l in levels(g)) {
      inside <- g %in% l; t <- counts_of(known$RESPONSE[inside], known$ARM[inside]); place <- paste0("subgroups.", name, ".", tolower(l))
      put_arms(place, t); put_difference(paste0(place, ".difference"), t)
    }
    d <- data.frame(y = known$RESPONSE, a = known$ARM, g = g)[!is.na(g), ]
    cells <- table(d$y, d$a, d$g)
    says <- apply(cells, 3, function(m) all(rowSums(m) > 0, colSums(m) > 0)); cells <- cells[, , says, drop = FALSE]
    if (sum(says) < 2) { p <- NA; df <- NULL }
    else if (all(cells > 0)) {
      d <- d[d$g %in% levels(d$g)[says], ]; fit <- function(model) glm(model, binomial, d, epsilon = 1e-14)
      lr <- anova(fit(y ~ a + g), fit(y ~ a * g), test = "Chisq"); p <- lr[2, 5]; df <- lr[2, 3]
    } else { p <- breslow_day(cells); df <- sum(says) - 1 }
    put2(paste0("subgroups.", name, ".interaction"), counts_of(d$y, d$a), p, p = p, df = df)
  }
})

# --- robustness: what needs no imputation model -----------------------------------------------------------------------
local({
  filled <- function(y, how, arm) {
    y[is.na(y)] <- switch(how, complete = NA, nri = FALSE, worst = (arm == "control")[is.na(y)], best = (arm == "treatment")[is.na(y)]); y
  }
  for (how in c("complete", "nri", "worst", "best")) {
    y <- filled(primary$RESPONSE, how, primary$ARM); g <- g_computation(primary, y)
    put_wald(paste0("robustness.missing.", how), g$t, g$d, g$se)
  }
  seen_later <- rowSums(sapply(VISITS[VISITS >= PRIMARY], seen, ids = itt$USUBJID)) > 0
  unknown <- is.na(primary$RESPONSE)
  for (r in ROLES) {
    put_count(paste0("robustness.unknown.", r), sum(unknown & itt$ARM == r), n = sum(itt$ARM == r))
    put_count(paste0("robustness.departed.", r), sum(unknown & !seen_later & itt$ARM == r), n = sum(itt$ARM == r))
  }
  changed <- function(...) modifyList(PLAN, list(...))
  rules <- list(plan = PLAN, odi_other = changed(relative = FALSE), stricter = changed(vas_mm = 30, vas_percent = 30, odi = 30),
                both = PLAN, rescue_other = changed(rescue = FALSE))
  for (name in names(rules)) {
    outcome <- response_at(PRIMARY, itt, rules[[name]])[[if (name == "both") "BOTH" else "RESPONSE"]]
    for (set in c("itt", "mitt", "pp")) for (how in c("complete", "nri")) {
      inside <- itt[[toupper(set)]]; people <- itt[inside, ]; y <- filled(outcome[inside], how, people$ARM); t <- counts_of(y, people$ARM)
      place <- paste("robustness.choice", name, set, how, sep = ".")
      g <- g_computation(people, y); crude <- g_computation(people, y, adjusted = FALSE)
      put_wald(paste0(place, ".wald"), t, crude$d, crude$se); put_score(paste0(place, ".score"), t)
      put_wald(paste0(place, ".random"), g$t, g$d, g$se); put_wald(paste0(place, ".fixed"), g$t, g$d, g$se_fixed)
    }
  }
})

# --- mixed models: nlme::gls, and the restricted likelihood written out ------------------------------------------------
MODEL <- CHG ~ VISIT * ARM + VISIT * BASE + COUNTRY
whitened <- function(theta, parts, k) {  # theta: lower Cholesky factor of the covariance, logarithms on its diagonal
  L <- matrix(0, k, k); L[lower.tri(L, TRUE)] <- theta; diag(L) <- exp(diag(L)); S <- L %*% t(L)
  log_det <- 0
  crossed <- 0
  for (part in parts) {
    U <- chol(S[part$visits, part$visits, drop = FALSE]); log_det <- log_det + 2 * part$m * sum(log(diag(U)))
    crossed <- crossed + crossprod(matrix(backsolve(U, part$stack, transpose = TRUE), ncol = part$columns))
  }
  list(log_det = log_det, crossed = crossed)
}
restricted_fit <- function(d) {  # d has VISIT as a factor
  k <- nlevels(d$VISIT); X <- model.matrix(MODEL, d); p <- ncol(X); Xy <- cbind(X, d$CHG)
  pattern <- tapply(as.integer(d$VISIT), d$USUBJID, paste, collapse = " ")[d$USUBJID]
  parts <- lapply(split(seq_len(nrow(d)), pattern), function(rows) {
    visits <- as.integer(strsplit(pattern[rows[1]], " ")[[1]]); q <- length(visits)
    list(visits = visits, m = length(rows) / q, columns = p + 1, stack = matrix(Xy[rows, ], nrow = q))  # rows run visit within participant
  })
  deviance <- function(theta) {
    w <- whitened(theta, parts, k); A <- w$crossed[1:p, 1:p]; b <- w$crossed[1:p, p + 1]
    (nrow(d) - p) * log(2 * pi) + w$log_det + as.numeric(determinant(A)$modulus) + w$crossed[p + 1, p + 1] - sum(b * solve(A, b))
  }
  residual <- residuals(lm(MODEL, d)); wide <- tapply(residual, list(d$USUBJID, d$VISIT), sum)
  S <- cov(wide, use = "pairwise"); S <- 0.5 * S + 0.5 * diag(diag(S)); L <- t(chol(S)); diag(L) <- log(diag(L)); theta <- L[lower.tri(L, TRUE)]
  theta <- nlminb(theta, deviance, control = list(rel.tol = 1e-14, iter.max = 1000, eval.max = 5000))$par
  for (i in 1:3) theta <- theta - solve(hessian(deviance, theta), grad(deviance, theta))
  stopifnot(max(abs(grad(deviance, theta))) < 1e-5)
  H <- hessian(deviance, theta); stopifnot(min(eigen(H, symmetric = TRUE, only.values = TRUE)$values) > 0)
  vcov_at <- function(theta) solve(whitened(theta, parts, k)$crossed[1:p, 1:p])
  w <- whitened(theta, parts, k)$crossed
  coefficients <- setNames(solve(w[1:p, 1:p], w[1:p, p + 1]), colnames(X))
  list(coefficients = coefficients, theta = theta, vcov_at = vcov_at, information = H / 2, deviance = deviance(theta))
}
contrasts_of <- function(d) {  # emmeans' own linear functions: equal weights over COUNTRY, BASE at its mean over the rows
  grid <- emmeans(lm(MODEL, d), ~ ARM | VISIT, weights = "equal")
  L <- grid@linfct; what <- grid@grid; rows <- list()
  for (v in levels(d$VISIT)) {
    one <- L[what$VISIT == v & what$ARM == "treatment", ]; zero <- L[what$VISIT == v & what$ARM == "control", ]
    rows[[paste(v, "treatment")]] <- one; rows[[paste(v, "control")]] <- zero; rows[[paste(v, "difference")]] <- one - zero
  }
  do.call(rbind, rows)
}
gls_away <- list()
mixed_model <- function(place, code, d, p_of_means) {
  d$VISIT <- factor(d$AVISITN); d$V <- as.integer(d$VISIT); L <- contrasts_of(d)
  own <- restricted_fit(d); v <- function(theta) rowSums((L %*% own$vcov_at(theta)) * L)
  J <- jacobian(v, own$theta); df <- 2 * v(own$theta)^2 / rowSums((J %*% solve(own$information)) * J)
  estimate <- drop(L %*% own$coefficients[colnames(L)]); se <- sqrt(v(own$theta))
  # nlme stops a little before the maximum: its answer must be near, and not above.
  fit <- gls(MODEL, d, correlation = corSymm(form = ~ V | USUBJID), weights = varIdent(form = ~ 1 | VISIT), method = "REML",
             control = glsControl(maxIter = 200, msMaxIter = 500, tolerance = 1e-9, msTol = 1e-10, apVar = FALSE))
  theirs <- drop(L %*% coef(fit)[colnames(L)]); their_se <- sqrt(rowSums((L %*% vcov(fit)) * L))
  away <- c(deviance = -2 * as.numeric(logLik(fit)) - own$deviance, estimate_in_se = max(abs(theirs - estimate) / se),
            se_relative = max(abs(their_se / se - 1)))
  stopifnot(away["deviance"] > -1e-9, away < 5e-5)
  gls_away[[code]] <<- as.list(away)
  half <- qt(0.975, df) * se; p <- 2 * pt(-abs(estimate / se), df)
  for (k in seq_along(estimate)) {
    key <- strsplit(rownames(L)[k], " ")[[1]]; month <- as.numeric(key[1]); name <- key[2]
    n <- sapply(ROLES, function(r) sum(d$AVISITN == month & d$ARM == r)); difference <- name == "difference"
    known <- if (difference) list(n = sum(n), n_treatment = n[1], n_control = n[2]) else list(n = n[[name]])
    if (difference || p_of_means) known$p <- p[k]
    do.call(put, c(list(paste(place, visit_name(month), name, sep = "."), estimate[k], lower = estimate[k] - half[k],
                        upper = estimate[k] + half[k], se = se[k], df = df[k], class = "fitted"), known))
  }
  invisible(p[rownames(L) == paste(PRIMARY, "difference")])
}

# --- co-primary 2: T2 -------------------------------------------------------------------------------------------------
local({
  d <- changes(tables$admi, "T2", mitt)
  for (m in unique(d$AVISITN)) for (r in ROLES) {
    rows <- d[d$AVISITN == m & d$ARM == r, ]; place <- function(...) paste0("structure.observed.m", m, ".", ..., ".", r)
    put(place("value.mean"), mean(rows$AVAL), n = nrow(rows)); put(place("value.sd"), sd(rows$AVAL), n = nrow(rows))
    put(place("change.mean"), mean(rows$CHG), n = nrow(rows)); put(place("change.sd"), sd(rows$CHG), n = nrow(rows))
  }
  one <- d[d$AVISITN == PRIMARY, ]; one$COUNTRY <- factor(one$COUNTRY)
  fit <- lm(CHG ~ ARM + BASE + COUNTRY, one); means <- summary(emmeans(fit, ~ ARM, weights = "equal"), infer = TRUE)
  n <- sapply(ROLES, function(r) sum(one$ARM == r)); counts <- c(NA, n[1], NA, n[2])
  for (r in ROLES) {
    row <- means[means$ARM == r, ]
    put(paste0("structure.lsmean.", r), row$emmean, lower = row$lower.CL, upper = row$upper.CL, se = row$SE,
        df = row$df, n = n[[r]])
  }
  X <- model.matrix(fit); bread <- solve(crossprod(X)); h <- rowSums((X %*% bread) * X)
  hc3 <- bread %*% crossprod(X * residuals(fit) / (1 - h)) %*% bread; df <- fit$df.residual
  b <- coef(fit)[["ARMtreatment"]]; covariances <- list(main = vcov(fit), robust = hc3)
  for (name in names(covariances)) {
    se <- sqrt(covariances[[name]]["ARMtreatment", "ARMtreatment"]); half <- qt(0.975, df) * se
    put2(paste0("structure.", name), counts, b, lower = b - half, upper = b + half, p = 2 * pt(-abs(b / se), df), se = se, df = df)
  }
  put_g("structure.g", one$CHG, one$ARM)
  mixed_model("structure.mmrm", "T2", d, FALSE)
})

# --- secondary: scores over time --------------------------------------------------------------------------------------
SCORES <- c("VASPAIN", "ODI", "SF36PCS", "SF36MCS", "SF36PF", "SF36RP", "SF36BP", "SF36GH", "SF36VT", "SF36SF", "SF36RE", "SF36MH")
local({
  raw <- c(); n <- list()
  for (code in SCORES) {
    d <- changes(tables$adqs, code, mitt); place <- paste0("secondary.", tolower(code))
    raw[code] <- mixed_model(place, code, d, FALSE)
    n[[code]] <- sapply(ROLES, function(r) sum(d$AVISITN == PRIMARY & d$ARM == r))
    for (m in VISITS) { rows <- d[d$AVISITN == m, ]; put_g(paste(place, visit_name(m), "g", sep = "."), rows$CHG, rows$ARM) }
  }
  adjusted <- p.adjust(raw, "holm")
  for (code in SCORES)
    put2(paste0("secondary.", tolower(code), ".primary.holm"), c(NA, n[[code]][1], NA, n[[code]][2]), adjusted[code],
         p = adjusted[code], class = "fitted")
  important <- c(VASPAIN = -20, ODI = -10, SF36PCS = 5, SF36MCS = 5)
  for (code in names(important)) for (m in VISITS) {
    d <- changes(tables$adqs, code, mitt); d <- d[d$AVISITN == m, ]; least <- important[[code]]
    t <- counts_of(sign(least) * d$CHG >= abs(least) - SLACK, d$ARM); place <- paste0("secondary.mcid.", tolower(code), ".", visit_name(m))
    put_arms(place, t); put_difference(paste0(place, ".difference"), t)
  }
})

# --- supportive: split-plot analysis of variance of complete cases -----------------------------------------------------
local({
  for (code in c("VASPAIN", "ODI")) {
    d <- changes(tables$adqs, code, mitt); d <- d[d$USUBJID %in% names(which(table(d$USUBJID) == length(VISITS))), ]
    d$USUBJID <- factor(d$USUBJID); d$VISIT <- factor(d$AVISITN); arm <- d$ARM[!duplicated(d$USUBJID)]
    counts <- list(n = length(arm), n_treatment = sum(arm == "treatment"), n_control = sum(arm == "control"))
    known <- function(id, ...) do.call(put, c(list(id, ...), counts))
    strata <- summary(aov(CHG ~ ARM * VISIT + Error(USUBJID), d)); between <- strata[[1]][[1]]; within <- strata[[2]][[1]]
    wide <- tapply(d$CHG, list(d$USUBJID, d$VISIT), sum)
    # Greenhouse and Geisser's epsilon from the covariance pooled within arms, centred over visits.
    means <- lm(wide ~ arm); k <- ncol(wide); centre <- diag(k) - 1 / k; S <- centre %*% crossprod(residuals(means)) %*% centre
    epsilon <- sum(diag(S))^2 / ((k - 1) * sum(S^2))
    stopifnot(all.equal(pf(within[2, "F value"], epsilon * within[2, "Df"], epsilon * within[3, "Df"], lower.tail = FALSE),
                        anova(means, X = ~ 1, test = "Spherical")["arm", "G-G Pr"]))
    rows <- list(arm = list(between, 1), visit = list(within, 1), interaction = list(within, 2))
    for (name in names(rows)) {
      table <- rows[[name]][[1]]; i <- rows[[name]][[2]]; e <- nrow(table); place <- paste0("secondary.anova.", tolower(code), ".", name)
      F <- table[i, "F value"]; df1 <- table[i, "Df"]; df2 <- table[e, "Df"]
      known(place, F, p = table[i, "Pr(>F)"], df = df2); known(paste0(place, ".df1"), df1)
      known(paste0(place, ".np2"), table[i, "Sum Sq"] / (table[i, "Sum Sq"] + table[e, "Sum Sq"]))
      if (name != "arm") { p <- pf(F, epsilon * df1, epsilon * df2, lower.tail = FALSE); known(paste0(place, ".gg"), p, p = p) }
    }
    for (m in VISITS) {
      x <- d$CHG[d$AVISITN == m & d$ARM == "treatment"]; y <- d$CHG[d$AVISITN == m & d$ARM == "control"]
      test <- t.test(x, y, var.equal = length(x) == length(y)); place <- paste0("secondary.pairwise.", tolower(code), ".", visit_name(m))
      known(place, test$statistic, p = test$p.value, df = test$parameter)
      # Pingouin's correction is Hedges' approximation 1 - 3 / (4 N - 9), not the gamma functions of hedges_g.
      s <- sqrt(((length(x) - 1) * var(x) + (length(y) - 1) * var(y)) / (length(x) + length(y) - 2))
      known(paste0(place, ".g"), (mean(x) - mean(y)) / s * (1 - 3 / (4 * (length(x) + length(y)) - 9)))
    }
  }
})

# --- times to first response and to rescue ----------------------------------------------------------------------------
turnbull <- function(left, right) {  # maximum-likelihood masses of the intervals (left, right], by EM to the end
  ends <- sort(unique(c(left, right))); lower <- c(); upper <- c()
  for (i in seq_len(length(ends) - 1)) if (ends[i] %in% left && ends[i + 1] %in% right) { lower <- c(lower, ends[i]); upper <- c(upper, ends[i + 1]) }
  inside <- outer(left, lower, "<=") & outer(right, upper, ">="); mass <- rep(1 / length(lower), length(lower))
  for (i in 1:200000) {
    new <- colMeans(t(t(inside) * mass) / drop(inside %*% mass)); moved <- max(abs(new - mass)); mass <- new
    if (moved < 1e-15) break
  }
  data.frame(lower, upper, mass)
}
put_times <- function(outcome, d) {
  place <- function(...) paste0("secondary.time.", outcome, ".", ...)
  d$treated <- as.numeric(d$arm == "treatment"); n <- sapply(ROLES, function(r) sum(d$arm == r))
  compared <- function(id, ...) put2(place(id), c(NA, n[1], NA, n[2]), ...)
  restricted <- list()
  for (r in ROLES) {
    rows <- d[d$arm == r, ]; fit <- survfit(Surv(time, event) ~ 1, rows, conf.type = "log-log"); tab <- summary(fit)$table
    put_count(place("n.", r), nrow(rows), n = nrow(rows)); put_count(place("events.", r), sum(rows$event), n = nrow(rows))
    median <- tab[c("median", "0.95LCL", "0.95UCL")]
    if (is.na(median[1])) put(place("median.", r), NA, n = nrow(rows))
    else put(place("median.", r), median[1], lower = median[2], upper = median[3], n = nrow(rows))
    for (m in VISITS) {
      s <- summary(fit, times = m, extend = FALSE); id <- place("reached.", visit_name(m), ".", r)
      if (!length(s$surv)) put(id, NA, n = nrow(rows))
      else if (s$surv == 1) put(id, 0, n = nrow(rows)) else put(id, 1 - s$surv, lower = 1 - s$upper, upper = 1 - s$lower, n = nrow(rows))
    }
    for (m in c(0, 3, 6, 12, 18, 24)) counted(place("at_risk.m", m, ".", r), sum(rows$time >= m))
    restricted[[r]] <- sapply(c(12, 24), function(tau) { t <- summary(fit, rmean = tau)$table; c(t[["rmean"]], t[["se(rmean)"]]) })
  }
  test <- survdiff(Surv(time, event) ~ treated, d); compared("logrank", test$chisq, p = pchisq(test$chisq, 1, lower.tail = FALSE), df = 1)
  cox <- coxph(Surv(time, event) ~ treated, d, ties = "efron", control = coxph.control(eps = 1e-11, iter.max = 100))
  b <- coef(cox)[[1]]; se <- sqrt(vcov(cox)[1, 1])
  compared("hr", exp(b), lower = exp(b - Z * se), upper = exp(b + Z * se), p = normal_p(b / se), se = se)
  zph <- cox.zph(cox)$table[1, ]; compared("ph", zph[[1]], p = zph[[3]], df = 1)
  for (k in 1:2) {
    m <- sapply(ROLES, function(r) restricted[[r]][1, k]); s <- sapply(ROLES, function(r) restricted[[r]][2, k])
    id <- function(name) paste0("rmst.m", c(12, 24)[k], ".", name)
    for (r in ROLES) {
      half <- if (s[r] > 0) Z * s[r] else NA  # no event yet: no interval
      put(place(id(r)), m[r], lower = m[r] - half, upper = m[r] + half, se = s[r], n = n[r])
    }
    b <- m[1] - m[2]; se <- sqrt(sum(s^2))
    compared(id("difference"), b, lower = b - Z * se, upper = b + Z * se, p = normal_p(b / se), se = se)
    b <- log(m[1] / m[2]); se <- sqrt(sum((s / m)^2))
    compared(id("ratio"), exp(b), lower = exp(b - Z * se), upper = exp(b + Z * se), p = normal_p(b / se), se = se)
  }
}
local({
  by_visit <- lapply(VISITS, response_at)
  known <- sapply(by_visit, `[[`, "KNOWN"); responds <- known & sapply(by_visit, function(v) v$RESPONSE %in% TRUE)
  first <- apply(responds, 1, function(x) c(VISITS[x], Inf)[1]); event <- is.finite(first)
  last_before <- sapply(seq_len(nrow(itt)), function(i) max(0, VISITS[known[i, ] & VISITS < first[i]]))
  d <- data.frame(arm = itt$ARM, event = as.numeric(event), lower = last_before, time = ifelse(event, first, last_before))
  put_times("response", d)
  for (r in ROLES) {
    rows <- d[d$arm == r, ]; curve <- turnbull(rows$lower, ifelse(rows$event == 1, rows$time, Inf))
    for (m in VISITS) {
      determined <- !any(curve$lower < m & m < curve$upper & curve$mass > 1e-9)
      put(paste0("secondary.time.response.npmle.", visit_name(m), ".", r), if (determined) sum(curve$mass[curve$upper <= m]) else NA, n = nrow(rows))
    }
  }
  width <- (d$time - d$lower)[d$event == 1]
  for (name in c("min", "median", "max")) put(paste0("secondary.time.response.width.", name), get(name)(width), n = length(width))
  treated <- itt[itt$SAF, ]; event <- !is.na(treated$RESCUEDY) & treated$RESCUEDY <= treated$EOSDY
  put_times("rescue", data.frame(arm = treated$ARM, event = as.numeric(event), time = ifelse(event, treated$RESCUEDY, treated$EOSDY) / 30.4375))
})

# --- immune response --------------------------------------------------------------------------------------------------
local({
  months <- c(0, 1, 3, 6)
  read <- function(code) sapply(months, function(m) at(tables$adis, code, m, "AVALC", saf$USUBJID) == "POSITIVE")
  positive <- list(dsa1 = read("DSA1"), dsa2 = read("DSA2"))
  positive$either <- positive$dsa1 | positive$dsa2
  status <- lapply(positive, function(p) {
    later <- rowSums(p[, -1], na.rm = TRUE) > 0; tested <- rowSums(!is.na(p[, -1])) > 0
    ifelse(p[, 1] %in% TRUE, "baseline", ifelse(p[, 1] %in% FALSE & later, "new", ifelse(p[, 1] %in% FALSE & tested, "never", "")))
  })
  any_result <- rowSums(!is.na(cbind(positive$dsa1, positive$dsa2))) > 0
  for (r in ROLES) counted(paste0("immune.tested.", r), sum(any_result[saf$ARM == r]))
  for (name in names(positive)) {
    for (k in seq_along(months)) put_arms(paste0("immune.", name, ".m", months[k]), counts_of(positive[[name]][, k], saf$ARM), clopper_pearson)
    new <- ifelse(status[[name]] == "new", TRUE, ifelse(status[[name]] == "never", FALSE, NA)); t <- counts_of(new, saf$ARM)
    put_arms(paste0("immune.new.", name), t, clopper_pearson); put_difference(paste0("immune.new.", name, ".difference"), t)
  }
  quantiles <- c(p10 = 0.1, q1 = 0.25, median = 0.5, q3 = 0.75, p90 = 0.9)
  for (code in c("DSA1", "DSA2")) for (m in months) for (r in ROLES) {
    x <- at(tables$adis, code, m, ids = saf$USUBJID[saf$ARM == r]); x <- x[!is.na(x)]
    for (q in names(quantiles))
      put(paste("immune.mfi", tolower(code), paste0("m", m), q, r, sep = "."), quantile(x, quantiles[[q]], type = 7), n = length(x))
  }
  outcome <- primary$RESPONSE[match(saf$USUBJID, primary$USUBJID)]
  for (s in c("baseline", "new", "never")) {
    inside <- status$either == s & !is.na(outcome)
    for (r in c(ROLES, "overall")) {
      who <- inside & (r == "overall" | saf$ARM == r)
      put_rate(paste("immune.response", s, r, sep = "."), sum(outcome[who]), sum(who), clopper_pearson)
    }
  }
})

# --- safety -----------------------------------------------------------------------------------------------------------
local({
  n <- sapply(ROLES, function(r) sum(saf$ARM == r)); years <- sapply(ROLES, function(r) sum(saf$EOSDY[saf$ARM == r]) / 365.25)
  all <- tables$adae; in_saf <- all$USUBJID %in% saf$USUBJID; emergent <- is.na(all$ASTDY) | all$ASTDY >= 1
  ae <- all[in_saf & emergent, ]; ae$ARM <- saf$ARM[match(ae$USUBJID, saf$USUBJID)]
  ae$REL <- ae$AEREL %in% c("POSSIBLE", "PROBABLE", "RELATED"); ae$SER <- ae$AESER == "Y"
  for (r in ROLES) { counted(paste0("safety.n.", r), n[r]); put(paste0("safety.exposure.", r), years[r], n = n[r]) }
  put_count("safety.unknown_day", sum(is.na(ae$ASTDY))); put_count("safety.before", sum(in_saf & !emergent))
  put_count("safety.untreated", sum(!in_saf))
  people <- function(rows) sapply(ROLES, function(r) length(unique(rows$USUBJID[rows$ARM == r])))
  of_arms <- function(x) c(x[1], n[1], x[2], n[2])
  frequencies <- function(name, rows) {
    x <- people(rows); put_arms(paste0("safety.", name, ".participants"), of_arms(x), clopper_pearson)
    for (r in ROLES) {
      e <- sum(rows$ARM == r); garwood <- c(if (e == 0) 0 else qchisq(0.025, 2 * e) / 2, qchisq(0.975, 2 * (e + 1)) / 2) / years[r] * 100
      put_count(paste0("safety.", name, ".events.", r), e)
      put(paste0("safety.", name, ".rate.", r), e / years[r] * 100, lower = garwood[1], upper = garwood[2], n = n[r])
    }
    x
  }
  none <- function(name, x) for (r in ROLES) if (x[r] == 0) {
    put(paste0("safety.", name, ".bound.", r), 1 - 0.05^(1 / n[r]), n = n[r]); put(paste0("safety.", name, ".three.", r), 3 / n[r], n = n[r])
  }
  kinds <- list(any = rep(TRUE, nrow(ae)), serious = ae$SER, related = ae$REL, definite = ae$AEREL == "RELATED",
                serious_related = ae$SER & ae$REL, severe = ae$AESEV == "SEVERE")
  for (kind in names(kinds)) {
    x <- frequencies(kind, ae[kinds[[kind]], ]); none(kind, x)
    put_difference(paste0("safety.", kind, ".difference"), of_arms(x))
  }
  reasons <- c(leaving = "ADVERSE EVENT", death = "DEATH")
  for (kind in names(reasons)) {
    x <- sapply(ROLES, function(r) sum(saf$DCSREAS %in% reasons[kind] & saf$ARM == r)); none(kind, x)
    put_arms(paste0("safety.", kind, ".participants"), of_arms(x), clopper_pearson)
    put_difference(paste0("safety.", kind, ".difference"), of_arms(x))
  }
  grades <- c("MILD", "MODERATE", "SEVERE")
  for (kind in c("any", "related")) {
    rows <- ae[kinds[[kind]], ]; worst <- tapply(match(rows$AESEV, grades), rows$USUBJID, max); arm <- saf$ARM[match(names(worst), saf$USUBJID)]
    for (g in 1:3) {
      x <- sapply(ROLES, function(r) sum(worst == g & arm == r))
      put_arms(paste0("safety.severity.", kind, ".", tolower(grades[g])), of_arms(x), clopper_pearson)
    }
  }
  for (class in unique(ae$AEBODSYS)) frequencies(paste0("soc.", slug(class)), ae[ae$AEBODSYS == class, ])
  terms <- sort(unique(ae$AEDECOD))
  stopifnot(nrow(unique(ae[c("AEBODSYS", "AEDECOD")])) == length(terms), !anyDuplicated(slug(terms)))
  counts <- lapply(setNames(terms, terms), function(term) frequencies(paste0("pt.", slug(term)), ae[ae$AEDECOD == term, ]))
  p <- sapply(counts, function(x) fisher.test(matrix(c(x, n - x), 2))$p.value); q <- p.adjust(p, "BH")
  for (term in terms) {
    put_difference(paste0("safety.pt.", slug(term), ".difference"), of_arms(counts[[term]]), p = p[term])
    put(paste0("safety.pt.", slug(term), ".q"), q[term], p = q[term], n_treatment = n[1], n_control = n[2])
  }
  for (term in unique(ae$AEDECOD[ae$SER])) frequencies(paste0("serious_pt.", slug(term)), ae[ae$AEDECOD == term & ae$SER, ])
})

# --- write: one line an answer ----------------------------------------------------------------------------------------
json <- function(x) toJSON(x, digits = NA, auto_unbox = TRUE, na = "null", null = "null")
about <- list(
  program = R.version.string,
  packages = sapply(c("survival", "nlme", "emmeans", "numDeriv"), function(p) as.character(packageVersion(p)), simplify = FALSE),
  source = "recompute.R",
  data = setNames(lapply(files, function(f) digest::digest(file = f, algo = "sha256")), basename(files)),
  gls_away = gls_away)
lines <- c(paste0("  ", sapply(names(about), json), ": ", sapply(about, json), ","), '  "answers": {',
           paste0("    ", sapply(names(answers), json), ": ", sapply(answers, json), c(rep(",", length(answers) - 1), "")), "  }")
name <- argument(4, "answers.json"); output <- if (grepl("[.]gz$", name)) gzfile(name, "wb") else file(name, "wb")
writeLines(c("{", lines, "}"), output); close(output)
