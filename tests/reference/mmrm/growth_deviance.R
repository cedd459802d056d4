# -2 log L of the growth data by maximum likelihood, unstructured covariance: Rscript growth_deviance.R > growth_deviance.json
library(nlme)
growth <- read.csv("growth.csv")
growth$visit <- match(growth$time, c(8, 10, 12, 14))
deleted <- c("F03", "F06", "F09", "F10", "M02", "M05", "M12", "M13", "M16")
models <- list("a mean for each sex and age" = y ~ arm * factor(time), "a line for each sex" = y ~ arm * time,
               "parallel lines" = y ~ arm + time)
deviance_of <- function(formula, data) {
  fit <- gls(formula, data, correlation = corSymm(form = ~ visit | subject), weights = varIdent(form = ~ 1 | visit),
             method = "ML", control = glsControl(msMaxIter = 500, tolerance = 1e-10, msTol = 1e-12))
  -2 * as.numeric(logLik(fit))
}
row <- function(data) paste(sprintf('    "%s": %.6f', names(models), sapply(models, deviance_of, data)), collapse = ",\n")
left <- growth[!(growth$time == 10 & growth$subject %in% deleted), ]
cat(sprintf('{\n  "program": "%s, nlme %s",\n  "tolerance": "1e-4 absolute",\n  "deleted_at_10": [%s],\n  "complete": {\n%s\n  },\n  "incomplete": {\n%s\n  }\n}\n',
            R.version.string, packageVersion("nlme"),
            paste(sprintf('"%s"', deleted), collapse = ", "), row(growth), row(left)))
