//! What a user can ask for, by keys, mouse, panel or script.

use crate::controls::Mode;
use crate::present::Kind;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// A wish of the user; in scripts as JSON, such as `{"show": "depth"}` or `"home"`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// Shows something else of the picture.
    Show(Kind),
    /// Takes another model, by its number.
    Model(usize),
    /// Places samples otherwise, by the number of the choice.
    Samples(usize),
    /// Takes as many source views; 0 for the model's own number.
    Views(usize),
    /// Renders every pixel of the window for 1, half as many in x and y for 2, and so on.
    Resolution(u32),
    /// Keeps the last complete picture until a new one is complete.
    HoldSharp(bool),
    /// Leaves the photograph of the source view at which one stands out of the sources.
    LeaveOut(bool),
    /// Switches a source view off or on.
    ToggleView(usize),
    /// Switches all source views on.
    AllViews,
    /// Goes to a source view.
    GoToView(usize),
    /// Goes to the source view so many further on.
    StepView(i64),
    /// Frames the scene.
    Home,
    /// Another way to move.
    Move(Mode),
    /// Vertical field of view in degrees.
    Fov(f64),
    /// Speed in flight.
    Speed(f64),
    /// Opens or closes the panel.
    Panel(bool),
    /// Opens or closes the help.
    Help(bool),
    /// Shows or hides the cameras of the source views.
    Cameras(bool),
    /// Turns by a drag in pixels.
    Turn([f64; 2]),
    /// Moves sideways by a drag in pixels.
    Pan([f64; 2]),
    /// Goes nearer by a factor.
    Zoom(f64),
    /// The mouse wheel, in lines.
    Wheel(f64),
    /// Takes what is at a pixel of the picture as the pivot.
    Pivot([f64; 2]),
    /// Goes along these axes while keys are held: right, down, forward, each from -1 to 1.
    Fly([f64; 3]),
    /// Saves the picture at its best level, when it is there.
    Screenshot(PathBuf),
    /// Copies the camera as JSON.
    CopyPose,
    /// Copies the camera as an argument of `shiftray view`.
    CopyArgument,
    /// Copies the command that renders the path.
    CopyRender,
    /// Adds a key frame where one stands.
    AddKey,
    /// Removes a key frame.
    RemoveKey(usize),
    /// Puts a key frame where another is.
    MoveKey(usize, usize),
    /// Goes to a key frame.
    GoToKey(usize),
    /// Plays the path, or stops.
    Play(bool),
    /// Goes to a place of the path, from 0 to 1.
    Scrub(f64),
    /// Seconds that the path takes.
    PathSeconds(f64),
    /// Saves the path.
    SavePath(PathBuf),
    /// Loads a path.
    LoadPath(PathBuf),
    /// Renders the path in the background, into a folder.
    RenderPath(PathBuf),
    /// Gives that up.
    StopPath,
    /// Destroys the graphics device, to see whether the viewer goes on.
    LoseDevice,
    /// Closes the viewer, but asks first if something is under way that would be lost.
    Close,
    /// Closes the viewer as soon as nothing is under way.
    CloseWhenDone,
    /// Does not close the viewer after all.
    Stay,
    /// Closes the viewer at once.
    Quit,
}
