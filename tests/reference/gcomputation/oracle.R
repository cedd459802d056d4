# Reference answers for the adjusted risk difference: glm and explicit matrix formulas; Firth's fit by maximising the
# penalised likelihood with optim, then Newton steps on its score with a numerical Jacobian.
# Run in this folder: Rscript oracle.R (writes data.csv, separated.csv and answers.json)
library(jsonlite)
set.seed(20240601)
n <- 114
arm <- rep(c(1, 0), c(58, 56))
country <- sample(c("FRA", "ESP", "ITA", "DEU"), n, replace = TRUE, prob = c(0.4, 0.3, 0.2, 0.1))
vas <- round(rnorm(n, 68, 12)); odi <- round(0.4 * vas + rnorm(n, 14, 9))
y <- rbinom(n, 1, plogis(0.7 + 0.4 * arm + 0.04 * (vas - 68) - 0.03 * (odi - 41)))
main <- data.frame(response = y, treated = arm, COUNTRY = country, VASBL = vas, ODIBL = odi)
separated <- transform(main, response = ifelse(COUNTRY == "DEU", 1, response))
write.csv(main, "data.csv", row.names = FALSE, quote = FALSE)
write.csv(separated, "separated.csv", row.names = FALSE, quote = FALSE)

quantities <- function(data, X, beta, firth) {
  n <- nrow(X); A <- data$treated; y <- data$response
  X1 <- X; X1[, "treated"] <- 1; X0 <- X; X0[, "treated"] <- 0
  m1 <- drop(plogis(X1 %*% beta)); m0 <- drop(plogis(X0 %*% beta)); mu <- drop(plogis(X %*% beta))
  g1 <- colMeans(m1 * (1 - m1) * X1); g0 <- colMeans(m0 * (1 - m0) * X0)
  bread <- solve(t(X) %*% diag(mu * (1 - mu)) %*% X)
  meat <- t(X) %*% diag((y - mu)^2) %*% X
  G <- rbind(g1, g0)
  model <- G %*% bread %*% t(G); fixed <- G %*% bread %*% meat %*% bread %*% t(G)
  share <- mean(A)
  psi <- cbind(A / share * (y - m1) + m1 - mean(m1), (1 - A) / (1 - share) * (y - m0) + m0 - mean(m0))
  random <- if (firth) model + crossprod(cbind(m1 - mean(m1), m0 - mean(m0))) / n^2 else crossprod(psi) / n^2
  list(beta = unname(drop(beta)), risk_treatment = mean(m1), risk_control = mean(m0), difference = mean(m1) - mean(m0),
       covariance = unname(random), covariance_fixed = unname(fixed), covariance_model = unname(model))
}
design <- function(data) model.matrix(~ treated + COUNTRY + VASBL + ODIBL, data)

X <- design(main)
fit <- glm(response ~ treated + COUNTRY + VASBL + ODIBL, binomial, main, epsilon = 1e-15, maxit = 100)
ml <- quantities(main, X, coef(fit), FALSE)

S <- scale(design(separated)[, -1]); S <- cbind(1, S)  # well scaled; the penalised fit does not depend on the scale
penalised <- function(b) { eta <- drop(S %*% b); mu <- plogis(eta)
  -(sum(separated$response * eta - log1p(exp(eta))) + determinant(t(S) %*% (mu * (1 - mu) * S))$modulus / 2) }
score <- function(b) { mu <- drop(plogis(S %*% b)); w <- mu * (1 - mu); H <- sqrt(w) * S
  h <- rowSums((H %*% solve(crossprod(H))) * H); drop(t(S) %*% (separated$response - mu + h * (0.5 - mu))) }
b <- optim(rep(0, ncol(S)), penalised, function(b) -score(b), method = "BFGS", control = list(reltol = 1e-16, maxit = 1000))$par
for (i in 1:20) {  # Newton on the score, its Jacobian by central differences
  J <- sapply(seq_along(b), function(j) { e <- replace(0 * b, j, 1e-5); (score(b + e) - score(b - e)) / 2e-5 })
  b <- b - solve(J, score(b))
}
stopifnot(max(abs(score(b))) < 1e-11)
colnames(S) <- colnames(X)
eta <- drop(S %*% b); raw <- unname(qr.solve(design(separated), eta))
firth <- quantities(separated, design(separated), raw, TRUE)

write_json(list(program = R.version.string, source = "oracle.R", tolerance = 1e-8, tolerance_kind = "absolute",
                maximum_likelihood = ml, firth = firth), "answers.json", digits = NA, auto_unbox = TRUE, pretty = TRUE)
