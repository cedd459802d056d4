# Reference answers for tests/stats/test_mmrm.py. Run: Rscript structures.R > structures.json
# Fits by nlme::gls (every structure, REML and ML), LS means by emmeans. Satterthwaite degrees of freedom come from a
# likelihood written out participant by participant and numerical derivatives in (log sd, correlation) parameters.
suppressMessages({library(nlme); library(emmeans); library(jsonlite)})
fev <- read.csv("fev_data.csv", stringsAsFactors = TRUE)
fev <- fev[!is.na(fev$FEV1), ]
fev$VISIT <- as.integer(fev$AVISIT)
fev <- fev[order(fev$USUBJID, fev$VISIT), ]
m <- 4
correlations <- list(
  un = corSymm(form = ~ VISIT | USUBJID),
  toeph = corARMA(c(0.1, 0, 0), form = ~ VISIT | USUBJID, p = 3, q = 0),  # AR(3) reaches every Toeplitz matrix of 4
  ar1h = corAR1(form = ~ VISIT | USUBJID),
  csh = corCompSymm(form = ~ VISIT | USUBJID)
)
control <- glsControl(tolerance = 1e-12, msTol = 1e-14, maxIter = 500, msMaxIter = 2000, opt = "nlminb")
# The column space of FEV1 ~ AVISIT + ARMCD:AVISIT + FEV1_BL:AVISIT + RACE, written so that emmeans sees no nesting.
model <- FEV1 ~ AVISIT * ARMCD + FEV1_BL:AVISIT + RACE

structure_of <- list(
  un = function(r) { C <- diag(m); C[lower.tri(C)] <- r; C[upper.tri(C)] <- t(C)[upper.tri(C)]; C },
  toeph = function(r) toeplitz(c(1, r)),
  ar1h = function(r) r^abs(outer(1:m, 1:m, "-")),
  csh = function(r) { C <- matrix(r, m, m); diag(C) <- 1; C }
)
parameters_of <- list(
  un = function(C) C[lower.tri(C)], toeph = function(C) C[1, -1], ar1h = function(C) C[1, 2], csh = function(C) C[1, 2]
)
X <- model.matrix(model, fev)
X <- X[, qr(X)$pivot[seq_len(qr(X)$rank)]]
rows <- split(seq_len(nrow(fev)), fev$USUBJID, drop = TRUE)
sigma_at <- function(theta, name) {
  s <- exp(theta[1:m])
  outer(s, s) * structure_of[[name]](theta[-(1:m)])
}
information <- function(S) Reduce(`+`, lapply(rows, function(i) {
  v <- fev$VISIT[i]
  crossprod(X[i, , drop = FALSE], solve(S[v, v], X[i, , drop = FALSE]))
}))
deviance_at <- function(theta, name, method) {
  S <- sigma_at(theta, name)
  A <- information(S)
  b <- Reduce(`+`, lapply(rows, function(i) {
    v <- fev$VISIT[i]
    crossprod(X[i, , drop = FALSE], solve(S[v, v], fev$FEV1[i]))
  }))
  beta <- solve(A, b)
  r <- fev$FEV1 - drop(X %*% beta)
  d <- sum(sapply(rows, function(i) {
    V <- S[fev$VISIT[i], fev$VISIT[i], drop = FALSE]
    determinant(V)$modulus + sum(r[i] * solve(V, r[i]))
  })) + nrow(X) * log(2 * pi)
  if (method == "REML") d <- d + determinant(A)$modulus - ncol(X) * log(2 * pi)
  as.numeric(d)
}
central <- function(f, x, h = 1e-3) sapply(seq_along(x), function(k) {  # fourth order
  e <- replace(numeric(length(x)), k, h)
  (8 * (f(x + e) - f(x - e)) - (f(x + 2 * e) - f(x - 2 * e))) / (12 * h)
})
degrees <- function(theta, name, method, L) {
  gradient <- function(t) central(function(u) deviance_at(u, name, method), t)
  H <- central(gradient, theta)
  H <- (H + t(H)) / 2
  variance <- function(t) diag(L %*% solve(information(sigma_at(t, name)), t(L)))
  v <- variance(theta)
  G <- central(variance, theta)
  2 * v^2 / rowSums((G %*% (2 * solve(H))) * G)
}

answers <- list()
for (name in names(correlations)) for (method in c("REML", "ML")) {
  fit <- gls(model, fev, correlation = correlations[[name]], weights = varIdent(form = ~ 1 | AVISIT),
             method = method, control = control, na.action = na.omit)
  grid <- emmeans(fit, ~ ARMCD | AVISIT, mode = "df.error")
  sds <- fit$sigma * c(1, coef(fit$modelStruct$varStruct, unconstrained = FALSE))
  names(sds)[1] <- setdiff(levels(fev$AVISIT), names(sds))
  sds <- sds[levels(fev$AVISIT)]
  C <- corMatrix(Initialize(fit$modelStruct$corStruct, fev))
  full <- C[[which(sapply(C, nrow) == m)[1]]]
  theta <- c(log(sds), parameters_of[[name]](full))
  theta <- nlminb(theta, function(t) tryCatch(deviance_at(t, name, method), error = function(e) Inf),
                  control = list(rel.tol = 1e-15, x.tol = 1e-12, eval.max = 1000, iter.max = 500))$par
  means <- as.data.frame(grid)[, c("AVISIT", "ARMCD", "emmean", "SE")]
  # nlme inflates the standard errors of an ML fit by N / (N - p); SAS and the definition (X'WX)^-1 do not.
  plain <- if (method == "ML") sqrt((nrow(X) - ncol(X)) / nrow(X)) else 1
  means$SE <- means$SE * plain
  K <- grid@linfct
  D <- K[seq(2, 8, 2), ] - K[seq(1, 7, 2), ]
  colnames(D) <- colnames(K)
  D <- D[, colnames(X)]
  answers[[paste(name, method, sep = ".")]] <- list(
    deviance = -2 * as.numeric(logLik(fit)),
    deviance_polished = deviance_at(theta, name, method),
    sigma = unname(sigma_at(theta, name)),
    lsmeans = means,
    difference = drop(D %*% coef(fit)[colnames(X)]),
    difference_se = plain * sqrt(diag(D %*% vcov(fit)[colnames(X), colnames(X)] %*% t(D))),
    difference_df = degrees(theta, name, method, D)
  )
}
cat(toJSON(list(
  program = paste0(R.version.string, "; nlme ", packageVersion("nlme"), "; emmeans ", packageVersion("emmeans")),
  model = "FEV1 ~ AVISIT + ARMCD:AVISIT + FEV1_BL:AVISIT + RACE",
  tolerance = list(deviance = 1e-5, estimate = 1e-4, se = 5e-4, df = 1e-2),
  answers = answers
), digits = 14, auto_unbox = TRUE, pretty = TRUE))
