//! What the window system tells, and when frames are drawn.

use super::{Viewer, Wake};
use crate::app::Command;
use crate::controls::TURN;
use crate::play::Player;
use std::time::{Duration, Instant};
use winit::application::ApplicationHandler;
use winit::event::{ElementState, MouseScrollDelta, WindowEvent};
use winit::event_loop::{ActiveEventLoop, ControlFlow};
use winit::keyboard::PhysicalKey;
use winit::window::WindowId;

impl ApplicationHandler<Wake> for Viewer {
    fn resumed(&mut self, events: &ActiveEventLoop) {
        if self.open.is_none()
            && let Err(problem) = self.open(events)
        {
            self.fail(events, problem);
        }
    }

    fn user_event(&mut self, events: &ActiveEventLoop, wake: Wake) {
        if wake == Wake::Interrupt {
            return self.close(events);
        }
        // Fetched also while the window is hidden, so that a path goes on.
        if self.app.tick(0.0) {
            self.open.iter().for_each(|open| open.window.request_redraw());
        }
    }

    fn window_event(&mut self, events: &ActiveEventLoop, _: WindowId, event: WindowEvent) {
        let Some(open) = &mut self.open else { return };
        let response = open.state.on_window_event(&open.window, &event);
        // A frame that is due asks for no other one.
        if response.repaint && event != WindowEvent::RedrawRequested {
            open.window.request_redraw();
        }
        let typing = self.ui.context().egui_wants_keyboard_input();
        match event {
            WindowEvent::RedrawRequested => {
                if let Err(problem) = self.frame(events) {
                    return self.fail(events, problem);
                }
                if self.app.quit {
                    self.leave(events);
                }
                return;
            }
            WindowEvent::CloseRequested => return self.close(events),
            WindowEvent::Resized(size) => self.resize(size),
            WindowEvent::ModifiersChanged(modifiers) => {
                self.modifiers = modifiers.state();
                self.app.controls.held.fast = self.modifiers.shift_key();
            }
            WindowEvent::CursorMoved { position, .. } => self.mouse_moved([position.x, position.y]),
            WindowEvent::MouseInput { button, state, .. } => self.mouse_button(button, state),
            WindowEvent::MouseWheel { delta, .. } if self.ui.is_picture(self.point(self.mouse.at)) => {
                let lines = match delta {
                    MouseScrollDelta::LineDelta(_, y) => f64::from(y),
                    MouseScrollDelta::PixelDelta(pixels) => pixels.y / 40.0,
                };
                self.app.perform(Command::Wheel(lines));
            }
            WindowEvent::PinchGesture { delta, .. } => self.app.perform(Command::Zoom((2.0 * delta).exp())),
            WindowEvent::PanGesture { delta, .. } => {
                self.app.perform(Command::Pan([f64::from(delta.x), f64::from(delta.y)]));
            }
            WindowEvent::RotationGesture { delta, .. } => {
                self.app.perform(Command::Turn([f64::from(delta).to_radians() / TURN, 0.0]));
            }
            WindowEvent::DoubleTapGesture { .. } if self.ui.is_picture(self.point(self.mouse.at)) => {
                let at = self.ui.in_picture(self.point(self.mouse.at));
                self.app.perform(Command::Pivot(at));
            }
            WindowEvent::Touch(touch) => self.touch(&touch),
            WindowEvent::KeyboardInput { event, .. } if !typing || event.state == ElementState::Released => {
                if let PhysicalKey::Code(code) = event.physical_key {
                    let text = event.text.as_ref().map(|text| text.as_str());
                    let letter = event.logical_key.to_text().unwrap_or_default();
                    self.key(code, letter, text, event.state == ElementState::Pressed, event.repeat);
                }
            }
            WindowEvent::Focused(false) => {
                // Nobody tells when a key is let go of elsewhere.
                self.held.clear();
                self.app.controls.held = Default::default();
                self.mouse.pressed = None;
            }
            _ => {}
        }
        self.open.iter().for_each(|open| open.window.request_redraw());
    }

    fn about_to_wait(&mut self, events: &ActiveEventLoop) {
        if self.app.quit {
            return self.leave(events); // A hidden window gets no frame in which to see it.
        }
        let Some(open) = &self.open else { return };
        let scripted = self.player.is_some();
        let moves = !self.app.controls.rests() || self.app.playing.is_some();
        if scripted && open.window.is_minimized() == Some(true) {
            // No frame comes that would go on with the script.
            if let Err(problem) = self.frame(events) {
                self.fail(events, problem);
            }
            events.set_control_flow(ControlFlow::WaitUntil(Instant::now() + Duration::from_millis(10)));
        } else if moves || self.player.as_ref().is_some_and(Player::is_busy) {
            open.window.request_redraw();
            events.set_control_flow(ControlFlow::Poll);
        } else if scripted {
            // A script that waits takes no time from what it waits for.
            match self.follow_script(events) {
                Err(problem) => return self.fail(events, problem),
                Ok(true) => return,
                Ok(false) => {}
            }
            let busy = !self.snaps.is_empty() || self.player.as_ref().is_some_and(Player::is_busy);
            if busy || self.app.tick(0.0) {
                self.open.iter().for_each(|open| open.window.request_redraw());
            }
            events.set_control_flow(ControlFlow::WaitUntil(Instant::now() + Duration::from_millis(10)));
        } else {
            // A camera that has just come to rest is asked about a little later, and messages fade.
            let soon = Instant::now() + Duration::from_millis(if self.app.awaits_frame() { 20 } else { 500 });
            let next = self.again.map_or(soon, |again| again.min(soon));
            let due = self.app.awaits_network() || self.again.is_some_and(|again| again <= Instant::now());
            if due || self.app.tick(0.0) {
                open.window.request_redraw();
            }
            events.set_control_flow(ControlFlow::WaitUntil(next));
        }
    }
}
