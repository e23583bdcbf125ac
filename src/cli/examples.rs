//! Examples at the end of every subcommand's help.

/// Of `shiftray bench`.
pub const BENCH: &str = "\
Examples:
  How fast this machine renders with the default model:
    shiftray bench
  The same with the dense model, at another size, as JSON:
    shiftray bench --model gnt-dense --size 320x240 --json
  What Hamming attention, shift layers and experts do to the official sizes, with random weights:
    shiftray bench --random full-shiftadd";

/// Of `shiftray check`.
pub const CHECK: &str = "\
Examples:
  What a folder of photographs with poses is, and what is wrong with it:
    shiftray check garden
  The same as a page with cameras and the photographs concerned:
    shiftray check garden --out report.html
  Depths that the check found to be cut, given by hand:
    shiftray check garden --bounds 0.4,25";

/// Of `shiftray completions`.
pub const COMPLETIONS: &str = "\
Examples:
  For fish, or for bash where its completions are in the user's folder:
    shiftray completions fish --out ~/.config/fish/completions
    shiftray completions bash --out ~/.local/share/bash-completion/completions
  For zsh, in a folder of its $fpath:
    shiftray completions zsh --out ~/.zfunc";

/// Of `shiftray eval`.
pub const EVAL: &str = "\
Examples:
  All figures of two scenes, with the default model, in the folder report:
    shiftray eval fern horns --scenes nerf_llff_data
  A quick look: two images, small photographs, every fourth pixel:
    shiftray eval fern --scenes nerf_llff_data --images 2 --scale 8 --stride 4 -o look
  Whether anything has become worse since:
    shiftray eval --baseline report

Three ways to less work:
  --scale N    smaller photographs to render from and to compare with; --factor is the same
  --stride N   every N-th pixel of the images, from photographs as they are
  --images N   fewer images
Images always have the size of the photographs: there is no --size here.";

/// Of `shiftray finetune`.
pub const FINETUNE: &str = "\
Examples:
  Some minutes on a scene's own photographs, and a picture made with what came of it:
    shiftray finetune fern --scenes nerf_llff_data --factor 8 -o tuned
    shiftray render fern --scenes nerf_llff_data --factor 8 -o flight --model tuned/model.safetensors
  No longer than five minutes; the same command goes on:
    shiftray finetune fern --scenes nerf_llff_data --factor 8 -o tuned --minutes 5";

/// Of `shiftray import`.
pub const IMPORT: &str = "\
Examples:
  An official checkpoint as a model file, and a picture made with it:
    shiftray import model_720000.pth --out gnt.safetensors
    shiftray render scenes/fern -o flight --model gnt.safetensors
  Half the size, rounded to 16 bits:
    shiftray import model_720000.pth --out gnt.safetensors --half";

/// Of `shiftray info`.
pub const INFO: &str = "\
Examples:
  What this program can use here:
    shiftray info
  Sizes, operations and modelled energy of a model:
    shiftray info --model gnt-shiftadd
  How its routers split the rows of pictures, and a file that says so:
    shiftray info --model gnt-shiftadd --measure-shares still-life --out measured.safetensors";

/// Of `shiftray man`.
pub const MAN: &str = "\
Examples:
  The program's page (`| man -l -` shows it):
    shiftray man
  All pages, where man finds them:
    shiftray man --out ~/.local/share/man/man1";

/// Of `shiftray poses`.
pub const POSES: &str = "\
Examples:
  Poses of the photographs in garden/images, with COLMAP or pycolmap, whichever is installed:
    shiftray poses garden
    shiftray render garden --out frames
  The commands that install and run it:
    shiftray poses garden --with none
  Photographs of a fisheye lens:
    shiftray poses garden --camera-model OPENCV_FISHEYE";

/// Of `shiftray render`.
pub const RENDER: &str = "\
Examples:
  A flight through a scene, as an animation too:
    shiftray render scenes/fern -o flight --video flight.gif
  The held-out photographs, which says how good the pictures are:
    shiftray render fern --scenes nerf_llff_data -o held-out --path test
  A quick look: three frames, at every fourth pixel:
    shiftray render scenes/fern -o look --frames 3 --stride 4

Four ways to less work:
  --factor N   smaller photographs to render from; the pictures shrink with them and lose detail; --scale is the same
  --stride N   every N-th pixel of the full picture, from photographs as they are: the fastest look
  --size WxH   pictures of another size, from photographs as they are
  --frames N   fewer pictures";

/// Of `shiftray reparam`.
pub const REPARAM: &str = "\
Examples:
  The built-in dense model, on procedural scenes that are made first:
    shiftray reparam --model gnt-dense --out run
  Attention only, on scenes of your own:
    shiftray reparam --model run/model.safetensors --out shiftadd --data scenes --stages ray+view
  A classifier, with itself as the teacher:
    shiftray reparam --model classifier.safetensors --out shiftadd --data cifar10_train.tar.xz --steps 2000";

/// Of `shiftray selftest`.
pub const SELFTEST: &str = "\
Examples:
  Whether this machine computes what it should, in a minute:
    shiftray selftest --quick
  All cases on the first GPU, as JSON:
    shiftray selftest --device cuda --json";

/// Of `shiftray synth`.
pub const SYNTH: &str = "\
Examples:
  Two hundred scenes to train on:
    shiftray synth --out scenes --scenes 200
  The same shapes in materials from a folder of pictures:
    shiftray synth --out textured --scenes 200 --textures materials
  The demonstration scene, and a flight through it:
    shiftray synth --showcase --out demo
    shiftray render demo -o flight";

/// Of `shiftray train`.
pub const TRAIN: &str = "\
Examples:
  A small model, on procedural scenes that are made first:
    shiftray train --data synth --out run
  On with a run that was interrupted:
    shiftray train --resume run
  From the built-in weights, on scenes of your own:
    shiftray train --data scenes --out run --from gnt-dense --steps 5000";

/// Of `shiftray train classifier`.
pub const TRAIN_CLASSIFIER: &str = "\
Examples:
  CIFAR-10, with the test set to follow the accuracy:
    shiftray train classifier --data cifar10_train.tar.xz --held-out cifar10_test.tar.xz --out run
  On with a run that was interrupted:
    shiftray train classifier --resume run
  Pictures of your own, a folder per class:
    shiftray train classifier --data pictures --out run --epochs 60";

/// Of `shiftray classify`.
pub const CLASSIFY: &str = "\
Examples:
  What is in two pictures:
    shiftray classify one.jpg two.png --model run/model.safetensors
  Accuracy on labelled pictures, with a picture of the confusion matrix in the folder report:
    shiftray classify --eval cifar10_test.tar.xz --model run/model.safetensors --out report
  Where it looks:
    shiftray classify one.jpg --model run/model.safetensors --attention where.png";

/// Of `shiftray view`.
pub const VIEW: &str = "\
Examples:
  Look around in the bundled scene:
    shiftray view still-life
  Twelve pictures of a flight through it, without a window:
    shiftray view still-life --headless --frames 12 -o pictures";

#[cfg(test)]
mod tests {
    use crate::cli::Cli;
    use clap::{CommandFactory, Parser};

    #[test]
    fn every_subcommand_has_examples_that_parse() {
        for subcommand in Cli::command().get_subcommands() {
            let help = subcommand.get_after_help().map(ToString::to_string).unwrap_or_default();
            let examples: Vec<&str> = help.lines().filter_map(|line| line.strip_prefix("    shiftray ")).collect();
            assert!((2..=4).contains(&examples.len()), "{}: {examples:?}", subcommand.get_name());
            for example in examples {
                let arguments = std::iter::once("shiftray").chain(example.split_whitespace());
                if let Err(problem) = Cli::try_parse_from(arguments) {
                    panic!("{example}: {problem}");
                }
            }
        }
    }
}
