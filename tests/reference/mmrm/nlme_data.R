# Answers for tests/stats/test_mmrm.py on three data sets of R. Run: Rscript nlme_data.R > nlme_data.json
# Orthodont (Potthoff and Roy 1964), BodyWeight (Hand and Crowder 1996) of nlme; ChickWeight of datasets, to day 10.
suppressMessages({library(nlme); library(jsonlite)})
control <- glsControl(tolerance = 1e-12, msTol = 1e-14, maxIter = 500, msMaxIter = 2000, opt = "nlminb")
cases <- list(
  growth = list(data = Orthodont, model = y ~ arm * time, columns = c("distance", "age", "Subject", "Sex"),
                structures = c("un", "csh", "ar1h"), methods = c("REML", "ML")),
  rats = list(data = BodyWeight, model = y ~ arm * time, columns = c("weight", "Time", "Rat", "Diet"),
              structures = c("csh", "ar1h"), methods = "REML"),
  chicks = list(data = subset(ChickWeight, Time <= 10), model = y ~ arm * factor(time),
                columns = c("weight", "Time", "Chick", "Diet"), structures = c("un", "csh", "ar1h"), methods = "REML")
)
answers <- list()
for (name in names(cases)) {
  case <- cases[[name]]
  d <- as.data.frame(case$data)[case$columns]
  names(d) <- c("y", "time", "subject", "arm")
  d$subject <- as.character(d$subject)
  d$arm <- as.character(d$arm)
  write.csv(d, paste0(name, ".csv"), row.names = FALSE, quote = FALSE)
  d$visit <- match(d$time, sort(unique(d$time)))
  for (structure in case$structures) for (method in case$methods) {
    correlation <- switch(structure, un = corSymm(form = ~ visit | subject),
                          csh = corCompSymm(form = ~ visit | subject), ar1h = corAR1(form = ~ visit | subject))
    fit <- gls(case$model, d, correlation = correlation, weights = varIdent(form = ~ 1 | visit), method = method,
               control = control)
    p <- length(coef(fit))
    # nlme inflates the standard errors of an ML fit by N / (N - p).
    plain <- if (method == "ML") sqrt((nrow(d) - p) / nrow(d)) else 1
    answers[[paste(name, structure, method, sep = ".")]] <- list(
      deviance = -2 * as.numeric(logLik(fit)),
      coefficients = as.list(coef(fit)),
      se = unname(plain * sqrt(diag(vcov(fit))))
    )
  }
}
cat(toJSON(list(
  program = paste0(R.version.string, "; nlme ", packageVersion("nlme")),
  tolerance = list(deviance = 1e-5, estimate = 1e-4, se = 5e-4),
  answers = answers
), digits = 14, auto_unbox = TRUE, pretty = TRUE))
