//! What keeps the server from being ready, as those say who know: the load of the rules, the
//! replay of the log, the log itself, the stop.

use parking_lot::Mutex;

use crate::api::Readiness;

/// What is known of the server's health. Whoever knows sets its part; nobody waits.
#[derive(Debug, Default)]
pub struct Health(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    is_loaded: bool,
    /// Done, of, unit.
    replay: Option<(u64, u64, &'static str)>,
    log_fault: Option<String>,
    is_stopping: bool,
}

impl Health {
    /// Rules are in force.
    pub fn set_loaded(&self) {
        self.0.lock().is_loaded = true;
    }

    /// So much of what the log held at the start has been taken in; all of it ends the replay.
    pub fn set_replayed(&self, done: u64, of: u64, unit: &'static str) {
        self.0.lock().replay = (done < of).then_some((done, of, unit));
    }

    /// Why the log takes nothing; `None` when it does again.
    pub fn set_log_fault(&self, fault: Option<String>) {
        self.0.lock().log_fault = fault;
    }

    /// The server was asked to stop.
    pub fn set_stopping(&self) {
        self.0.lock().is_stopping = true;
    }

    /// Tells whether it was.
    pub fn is_stopping(&self) -> bool {
        self.0.lock().is_stopping
    }

    /// Returns what all of them say together: what lasts longest first.
    pub fn readiness(&self) -> Readiness {
        let known = self.0.lock();
        match (&*known, known.replay, &known.log_fault) {
            (Known { is_stopping, .. }, ..) if *is_stopping => Readiness::Stopping,
            (Known { is_loaded, .. }, ..) if !*is_loaded => Readiness::Starting,
            (_, Some((done, of, unit)), _) => Readiness::Replaying { done, of, unit },
            (_, None, Some(fault)) => Readiness::LogNotWritable(fault.clone()),
            (_, None, None) => Readiness::Ready,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_ready_when_nothing_stands_in_the_way() {
        let health = Health::default();
        let said = || health.readiness().to_string();
        assert_eq!(said(), "no rules are loaded yet");
        health.set_replayed(10, 20, "entries");
        assert_eq!(said(), "no rules are loaded yet");
        health.set_loaded();
        assert_eq!(said(), "replaying the log: 10 of 20 entries");
        assert!(!health.readiness().answers());
        health.set_log_fault(Some("no space left on device".to_owned()));
        health.set_replayed(20, 20, "entries");
        assert_eq!(said(), "the log is not writable: no space left on device");
        assert!(health.readiness().answers(), "what it knows it can say");
        health.set_log_fault(None);
        assert_eq!(health.readiness(), Readiness::Ready);
        health.set_stopping();
        assert_eq!(health.readiness(), Readiness::Stopping);
    }
}
