# Answers for tests/stats/test_mmrm.py on the trial "Beat the Blues" (HSAUR3::BtheB): 100 participants, of whom half had
# left by the last visit. Run in this folder: Rscript btheb.R (writes btheb.csv, btheb.json).
# The restricted likelihood is written out, maximised over unconstrained parameters and polished by Newton steps on
# numerical derivatives, and nlme::gls must not be above it. Satterthwaite's degrees of freedom and Kenward and Roger's
# variance, without its second-derivative term, follow from their definitions in the parameters of SAS.
suppressMessages({library(nlme); library(emmeans); library(numDeriv); library(jsonlite); library(HSAUR3)})
months <- c(2, 3, 5, 8); m <- 4
long <- do.call(rbind, lapply(months, function(k) data.frame(
  id = seq_len(nrow(BtheB)), visit = k, y = BtheB[[paste0("bdi.", k, "m")]],
  arm = ifelse(BtheB$treatment == "BtheB", "treatment", "control"), base = BtheB$bdi.pre,
  drug = as.character(BtheB$drug), length = as.character(BtheB$length))))
write.csv(long, "btheb.csv", row.names = FALSE, quote = FALSE, na = "")
d <- long[complete.cases(long), ]; d <- d[order(d$id, d$visit), ]
d$VISIT <- factor(d$visit); v <- as.integer(d$VISIT); d$V <- v; d$arm <- factor(d$arm)
model <- y ~ VISIT * arm + base:VISIT + drug + length
X <- model.matrix(model, d); X <- X[, qr(X)$pivot[seq_len(qr(X)$rank)]]; N <- nrow(X); p <- ncol(X)
rows <- split(seq_len(N), d$id)
grid <- emmeans(lm(model, d), ~ arm | VISIT, weights = "equal"); of <- function(arm) which(grid@grid$arm == arm)
K <- grid@linfct[, colnames(X)]; L <- rbind(K[of("treatment"), ], K[of("control"), ], K[of("treatment"), ] - K[of("control"), ])
sigma_of <- list(  # variances and correlations; covariances of the unstructured matrix
  un = function(t) { S <- matrix(0, m, m); S[lower.tri(S, TRUE)] <- t; S + t(S) - diag(diag(S)) },
  toeph = function(t) sqrt(outer(t[1:m], t[1:m])) * toeplitz(c(1, t[-(1:m)])),
  ar1h = function(t) sqrt(outer(t[1:m], t[1:m])) * t[m + 1]^abs(outer(1:m, 1:m, "-")),
  csh = function(t) sqrt(outer(t[1:m], t[1:m])) * (t[m + 1] + (1 - t[m + 1]) * diag(m)))
free <- list(un = function(u) { C <- matrix(0, m, m); C[lower.tri(C, TRUE)] <- u; diag(C) <- exp(diag(C)); S <- C %*% t(C); S[lower.tri(S, TRUE)] })
free$toeph <- free$ar1h <- free$csh <- function(u) c(exp(u[1:m]), tanh(u[-(1:m)]))
sum_over <- function(f) Reduce(`+`, lapply(rows, f))
crossed <- function(S, M = NULL) sum_over(function(i) {  # X' W X, or X' W M W X
  W <- solve(S[v[i], v[i]]); x <- X[i, , drop = FALSE]
  t(x) %*% (if (is.null(M)) W else W %*% M(v[i], W) %*% W) %*% x
})
patterns <- lapply(split(rows, sapply(rows, function(i) paste(v[i], collapse = ""))), function(members) {  # for speed
  k <- seq_along(members[[1]]); Z <- lapply(k, function(a) cbind(X, d$y)[sapply(members, `[`, a), , drop = FALSE])
  list(v = v[members[[1]]], n = length(members), C = lapply(k, function(a) lapply(k, function(b) crossprod(Z[[a]], Z[[b]]))))
})
products <- function(S) {
  M <- 0; logs <- 0
  for (g in patterns) {
    W <- solve(S[g$v, g$v]); logs <- logs - g$n * as.numeric(determinant(W)$modulus)
    for (a in seq_along(g$v)) for (b in seq_along(g$v)) M <- M + W[a, b] * g$C[[a]][[b]]
  }
  list(A = M[1:p, 1:p], b = M[1:p, p + 1], yy = M[p + 1, p + 1], logs = logs)
}
answers <- lapply(setNames(nm = names(sigma_of)), function(name) {
  deviance <- function(u) {
    q <- products(sigma_of[[name]](free[[name]](u)))
    q$logs + q$yy - sum(q$b * solve(q$A, q$b)) + as.numeric(determinant(q$A)$modulus) + (N - p) * log(2 * pi)
  }
  safe <- function(u) tryCatch(suppressWarnings(deviance(u)), error = function(e) 1e10)
  u <- if (name == "un") { C <- diag(log(9), m); C[lower.tri(C, TRUE)] } else c(rep(log(80), m), rep(0.5, if (name == "toeph") m - 1 else 1))
  for (k in 1:3) u <- nlminb(u, safe, control = list(rel.tol = 1e-15, eval.max = 5000, iter.max = 2000))$par
  for (k in 1:4) u <- u - solve(hessian(deviance, u), grad(deviance, u))
  H <- hessian(deviance, u, method.args = list(r = 6)); J <- jacobian(free[[name]], u); theta <- free[[name]](u)
  stopifnot(max(abs(grad(deviance, u))) < 1e-6, min(eigen(H, TRUE, TRUE)$values) > 0)
  correlation <- switch(name, un = corSymm(form = ~ V | id), csh = corCompSymm(form = ~ V | id), ar1h = corAR1(form = ~ V | id))
  if (name != "toeph") {
    fit <- gls(model, d, correlation = correlation, weights = varIdent(form = ~ 1 | VISIT), method = "REML",
               control = glsControl(tolerance = 1e-12, msTol = 1e-14, maxIter = 500, msMaxIter = 2000))
    above <- -2 * as.numeric(logLik(fit)) - deviance(u); stopifnot(above > -1e-8, above < 1e-6)
  }
  V <- J %*% (2 * solve(H)) %*% t(J); S <- sigma_of[[name]](theta); q <- products(S); Phi <- solve(q$A)
  variance <- function(t) rowSums((L %*% solve(products(sigma_of[[name]](t))$A)) * L)
  G <- jacobian(variance, theta)
  E <- lapply(asplit(jacobian(function(t) c(sigma_of[[name]](t)), theta), 2), matrix, nrow = m); P <- lapply(E, function(e) crossed(S, function(i, W) e[i, i]))
  added <- 0
  for (k in seq_along(E)) for (l in seq_along(E))
    added <- added + V[k, l] * (crossed(S, function(i, W) E[[k]][i, i] %*% W %*% E[[l]][i, i]) - P[[k]] %*% Phi %*% P[[l]])
  adjusted <- Phi + 2 * Phi %*% added %*% Phi
  list(deviance = deviance(u), value = drop(unname(L %*% solve(q$A, q$b))), se = unname(sqrt(variance(theta))), df = unname(2 * variance(theta)^2 / rowSums((G %*% V) * G)),
       kenward_roger_se = unname(sqrt(rowSums((L %*% adjusted) * L))))
})
write_json(list(program = paste0(R.version.string, "; HSAUR3 ", packageVersion("HSAUR3"), "; emmeans ", packageVersion("emmeans")), source = "btheb.R",
                order = "treatment by visit, control by visit, difference by visit", tolerance = 1e-5, tolerance_kind = "relative", answers = answers),
           "btheb.json", digits = 12, auto_unbox = TRUE, pretty = TRUE)
