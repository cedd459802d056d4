# Answers for tests/stats/test_imputation.py. Run in this folder: Rscript oracle.R
# Everything but mice is written out here with explicit matrices: no sequential regressions.
suppressMessages({library(mice); library(jsonlite)})
set.seed(20)
names8 <- as.vector(rbind(paste0("VASPAIN.", c(0, 3, 12, 24)), paste0("ODI.", c(0, 3, 12, 24))))
n <- 114; arm <- rep(c(1, 0), c(58, 56))
country <- sample(c("DEU", "ESP", "FRA", "ITA"), n, TRUE, c(.2, .3, .3, .2))
R <- outer(1:8, 1:8, function(i, j) .8^abs((i + 1) %/% 2 - (j + 1) %/% 2) * ifelse((i + j) %% 2 == 0, 1, .6))
sd <- rep(c(18, 14), 4)
mu1 <- c(65, 42, 45, 33, 38, 28, 36, 26); mu0 <- c(66, 41, 52, 36, 47, 33, 45, 32)
Y <- t(sapply(1:n, function(i) (if (arm[i]) mu1 else mu0) + 4 * (country[i] == "ITA") +
  drop(crossprod(chol(R * sd %o% sd * (if (arm[i]) 1.2 else 1)), rnorm(8)))))
Y <- round(Y, 1); colnames(Y) <- names8
for (i in 1:n) if (runif(1) < plogis(-1.6 + .02 * (Y[i, 3] - 50))) Y[i, (2 * sample(2:4, 1) - 1):8] <- NA
Y[matrix(runif(n * 8), n) < .03] <- NA
write.csv(data.frame(treatment = arm, country = country, Y, check.names = FALSE), "trial.csv", row.names = FALSE, na = "")
X <- model.matrix(~country)

em <- function(Y, X, start = NULL) {
  p <- ncol(Y); n <- nrow(Y); B <- matrix(0, ncol(X), p); B[1, ] <- colMeans(Y, na.rm = TRUE)
  S <- diag(apply(Y, 2, var, na.rm = TRUE))
  if (!is.null(start)) { B <- start$B; S <- start$S }
  repeat {
    F <- Y; C <- matrix(0, p, p)
    for (i in 1:n) {
      m <- is.na(Y[i, ]); mu <- drop(X[i, ] %*% B)
      if (any(m)) {
        if (all(m)) { F[i, ] <- mu; C <- C + S; next }
        G <- S[m, !m, drop = FALSE] %*% solve(S[!m, !m]); F[i, m] <- mu[m] + G %*% (Y[i, !m] - mu[!m])
        C[m, m] <- C[m, m] + S[m, m] - G %*% S[!m, m, drop = FALSE]
      }
    }
    B2 <- solve(crossprod(X), crossprod(X, F)); E <- F - X %*% B2; S2 <- (crossprod(E) + C) / n
    done <- max(abs(B2 - B), abs(S2 - S) / 100) < 1e-8; B <- B2; S <- S2
    if (done) break
  }
  list(B = B, S = S)
}
# Mean and covariance of the joint distribution of one treated participant, and his conditional means (Carpenter 2013).
visit <- rep(1:4, each = 2); variable <- rep(1:2, 4)
conditional <- function(y, x, own, ref, method) {
  muT <- drop(x %*% own$B); muR <- drop(x %*% ref$B); ST <- own$S; SR <- ref$S
  seen <- !is.na(y); last <- if (any(seen)) max(visit[seen]) else 0; pre <- visit <= last
  mu <- muT; S <- ST
  if (method == "MAR" || all(pre)) {
    out <- y; m <- !seen
    if (any(m)) { if (any(seen)) { G <- S[m, seen, drop = FALSE] %*% solve(S[seen, seen]); out[m] <- mu[m] + G %*% (y[seen] - mu[seen])
      V <- S[m, m] - G %*% S[seen, m, drop = FALSE] } else { out <- mu; V <- S } } else V <- NULL
    return(list(mean = out, cov = V))
  }
  post <- !pre
  if (method == "CR") {
    # Gaps before departure under missing at random in the own arm, the rest given these.
    z <- y; g <- pre & !seen
    z[g] <- muT[g] + ST[g, seen, drop = FALSE] %*% solve(ST[seen, seen]) %*% (y[seen] - muT[seen])
    z[post] <- muR[post] + SR[post, pre] %*% solve(SR[pre, pre]) %*% (z[pre] - muR[pre])
    return(list(mean = z, cov = if (any(g)) NULL else SR[post, post] - SR[post, pre] %*% solve(SR[pre, pre]) %*% SR[pre, post]))
  }
  mu[post] <- muR[post]
  if (method == "CIR") for (j in which(post)) { k <- which(variable == variable[j] & visit == last); mu[j] <- muR[j] + muT[k] - muR[k] }
  R11i <- solve(SR[pre, pre]); G <- SR[post, pre] %*% R11i
  S[post, pre] <- G %*% ST[pre, pre]; S[pre, post] <- t(S[post, pre])
  S[post, post] <- SR[post, post] - G %*% (SR[pre, pre] - ST[pre, pre]) %*% t(G)
  m <- !seen; K <- S[m, seen, drop = FALSE] %*% solve(S[seen, seen]); out <- y; out[m] <- mu[m] + K %*% (y[seen] - mu[seen])
  list(mean = out, cov = S[m, m] - K %*% S[seen, m, drop = FALSE])
}
fits <- function(keep) list(control = em(Y[keep & arm == 0, ], X[keep & arm == 0, ]), treatment = em(Y[keep & arm == 1, ], X[keep & arm == 1, ]))
complete <- function(f, method) t(sapply(1:n, function(i) if (arm[i]) conditional(Y[i, ], X[i, ], f$treatment, f$control, method)$mean else
  conditional(Y[i, ], X[i, ], f$control, f$control, "MAR")$mean))
effect <- function(D, keep) coef(lm(I(D[keep, 5] - D[keep, 1]) ~ arm[keep] + D[keep, 1] + X[keep, -1]))[[2]]
all <- rep(TRUE, n); ml <- fits(all); methods <- c("MAR", "J2R", "CR", "CIR")
deletions <- lapply(1:n, function(i) { keep <- all; keep[i] <- FALSE; f <- ml; a <- c("control", "treatment")[arm[i] + 1]
  f[[a]] <- em(Y[keep & arm == arm[i], ], X[keep & arm == arm[i], ], ml[[a]]); list(keep = keep, f = f) })
jack <- sapply(methods, function(me) { th <- sapply(deletions, function(d) effect(complete(d$f, me), d$keep)); sqrt((n - 1) / n * sum((th - mean(th))^2)) })
covariances <- lapply(setNames(nm = methods), function(me) {
  i <- which(arm == 1 & is.na(Y[, 5]) & is.na(Y[, 6]) & is.na(Y[, 7]) & is.na(Y[, 8]) & complete.cases(Y[, 1:4]))[1]
  list(row = i - 1, cov = conditional(Y[i, ], X[i, ], ml$treatment, ml$control, me)$cov) })
# mice: normal regressions of every outcome on all others and country, separately by arm.
m <- 60
imputed <- lapply(1:0, function(a) { d <- data.frame(Y[arm == a, ], X[arm == a, -1]); mice(d, m = m, maxit = 10, method = "norm", print = FALSE, seed = 7) })
runs <- sapply(1:m, function(k) { D <- rbind(as.matrix(mice::complete(imputed[[1]], k)[, 1:8]), as.matrix(mice::complete(imputed[[2]], k)[, 1:8]))
  f <- lm(I(D[, 5] - D[, 1]) ~ arm + D[, 1] + X[, -1]); c(coef(f)[[2]], vcov(f)[2, 2], mean(D[arm == 1, 7]), mean(D[arm == 0, 7])) })
pooled <- pool.scalar(runs[1, ], runs[2, ], n = n, k = 6)
write_json(list(
  source = paste(R.version.string, "mice", packageVersion("mice")),
  tolerance = "1e-5 for maximum likelihood and conditional means given it, 1e-4 for the jackknife, four Monte-Carlo standard errors for mice",
  columns = names8, ml = lapply(ml, function(f) list(mean = X %*% f$B, cov = f$S)),
  conditional_means = lapply(setNames(nm = methods), function(me) complete(ml, me)),
  effect = lapply(setNames(nm = methods), function(me) effect(complete(ml, me), all)), jackknife_se = as.list(jack), covariances = covariances,
  mice = list(m = m, effect = pooled$qbar, between = pooled$b, within = pooled$ubar, se = sqrt(pooled$t), df = pooled$df,
              vas24_treatment = mean(runs[3, ]), vas24_control = mean(runs[4, ]), vas24_treatment_var = var(runs[3, ]), vas24_control_var = var(runs[4, ]))
), "answers.json", digits = NA, auto_unbox = TRUE, null = "null")
