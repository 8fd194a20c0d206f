//! `report`: one HTML file of some results.

use anyhow::Result;

use super::figure::read_runs;
use super::output::display_names;
use crate::base::console::note;
use crate::base::error::input;
use crate::base::files::{check_names, check_place};
use crate::base::together::write_alone;
use crate::cli::ReportArgs;
use crate::report::{Report, html};
use crate::run::command;
use crate::stats::Study;

/// Write the report.
pub fn report(args: ReportArgs) -> Result<()> {
    check_names(&args.out, "--out")?;
    if let Some(folder) = args.out.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        check_place(folder, "--out")?;
    }
    let extension = args.out.extension().unwrap_or_default();
    if args.out.is_dir() || !["html", "htm"].iter().any(|html| extension == *html) {
        return Err(input(format!("--out {}: name a file that ends in .html", args.out.display())));
    }
    let study = Study::new(read_runs(&args.results, args.metric.as_deref())?, |_| true)?;
    if study.panels.is_empty() {
        return Err(input("there is no finished cell to report, but for baselines; run some masks first"));
    }
    let folders: Vec<String> = args.results.iter().map(|path| path.display().to_string()).collect();
    let title = args.title.unwrap_or_else(|| folders.join(", "));
    let models = study.runs.iter().map(|run| run.manifest.settings.model.as_str());
    let names = display_names(&args.name, models)?;
    let page = html(&Report::new(&study, title, args.items, (command(), &names))?)?;
    write_alone(&args.out, |out| Ok(out.write_all(page.as_bytes())?))?;
    note(format!("{}, {:.1} MB", args.out.display(), page.len() as f64 / 1e6));
    Ok(())
}
