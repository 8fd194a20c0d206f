//! Tells the program which commit it was built from, for the manifests it writes; compiles the kernels for GPUs, where some are to
//! compute.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=configs");
    let git = |args: &[&str]| {
        let output = Command::new("git").args(args).output().ok().filter(|output| output.status.success())?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_string())
    };
    // In a worktree it lies elsewhere. A path that does not exist would have the crate built anew each time.
    if let Some(log) = git(&["rev-parse", "--git-path", "logs/HEAD"]).filter(|log| Path::new(log).exists()) {
        println!("cargo:rerun-if-changed={log}");
    }
    if std::env::var_os("CARGO_FEATURE_CUDA").is_some() {
        kernels();
    }
    // Built from a package there is no repository, and that is no error.
    if let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) {
        println!("cargo:rustc-env=ICL_MASK_GIT={commit}");
    }
}

/// `kernels.cu` for each type of weights, to code that every GPU since 2020 can finish compiling for itself (compute capability
/// 8.0).
fn kernels() {
    const SOURCE: &str = "src/model/device/kernels.cu";
    println!("cargo:rerun-if-changed={SOURCE}");
    let variable = |name: &str| std::env::var(name).ok();
    let nvcc = variable("NVCC").or_else(|| variable("CUDA_HOME").map(|home| format!("{home}/bin/nvcc")));
    let nvcc = nvcc.unwrap_or_else(|| "nvcc".into());
    for (name, element) in [("f32", "float"), ("f16", "__half"), ("bf16", "__nv_bfloat16")] {
        let out = format!("{}/kernels_{name}.ptx", std::env::var("OUT_DIR").expect("cargo sets it"));
        let types = [format!("-DELEMENT={element}"), format!("-DWIDE={}", u8::from(name == "f32"))];
        let options = ["-ptx", "-arch=compute_80", "-o", &out, SOURCE];
        let done = Command::new(&nvcc).args(types).args(options).status();
        assert!(
            done.is_ok_and(|status| status.success()),
            "{nvcc} cannot compile {SOURCE}: is CUDA's toolkit there?"
        );
    }
}
