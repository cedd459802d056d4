# SAS data sets of tests.builders.tiny_trial(folder, per_arm=2), by haven 2.5 or later: no free program but ReadStat writes them.
# Rscript make.R FOLDER, where FOLDER holds the trial as CSV; then gzip -9n *.sas7bdat
suppressMessages(library(haven))
for (name in c("adsl", "adqs", "admi", "adis", "adae", "adcm")) {
  table <- read.csv(file.path(commandArgs(TRUE)[1], paste0(name, ".csv")), colClasses = "character", na.strings = character())
  for (column in names(table)) {
    cells <- table[[column]]
    if (grepl("DT$", column)) {
      table[[column]] <- as.Date(ifelse(cells == "", NA, cells))
    } else if (all(grepl("^-?[0-9.]*$", cells)) && any(cells != "") && !(column %in% c("SITEID"))) {
      table[[column]] <- as.numeric(ifelse(cells == "", NA, cells))
    }
  }
  suppressWarnings(write_sas(table, paste0(name, ".sas7bdat")))
}
