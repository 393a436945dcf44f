//! How a packed place moves: over one sample, or over several at once.
//!
//! Every window of every series comes by here with every sample, so nearly always a place moves
//! without being unpacked. Where its chunk is gone, or ends, it becomes a
//! [`WalkCursor`](crate::history::WalkCursor) for that step.

use crate::history::bits::{SAMPLE_BYTES_MAX, SAMPLE_BYTES_USUAL, Window};
use crate::history::codec::Kind;
use crate::history::cold::ColdStore;
use crate::history::cursor::cold_place;
use crate::history::{Place, SeriesHistory};
use crate::model::{FloatPoint, TimestampMs};

impl Place {
    /// Looks at where the next sample lies, if that is in a store. Returns something that depends on
    /// it.
    #[inline]
    pub fn look_ahead(&self, cold: &dyn ColdStore) -> usize {
        // As many as are read of it then: that is what stores copy in the fewest steps.
        let mut first = [0; SAMPLE_BYTES_USUAL];
        let place = cold_place(self.chunk());
        place.map_or(0, |place| {
            cold.read(place, usize::from(self.bit() / 8), &mut first) + usize::from(first[0])
        })
    }
}

impl SeriesHistory {
    /// Moves a place over the next sample, whatever that is, of which its owner has then only looked
    /// at it; tells whether there is one. What is not in memory is looked for in `cold` first, a view
    /// of its store. The history has had no insertion since the place was packed.
    #[inline]
    pub fn look_over(&self, place: &mut Place, cold: Option<&dyn ColdStore>) -> bool {
        if self.look_over_in_chunk(place, cold).is_some() {
            return true;
        }
        let mut cursor = self.unpack(place);
        let moved = self.step_by(&mut cursor, TimestampMs(i64::MAX), cold);
        if moved.is_some() {
            *place = cursor.pack();
            place.set_looked_at(true);
        }
        moved.is_some()
    }

    /// Does so where the chunk of the place is still there and has another sample: nearly always,
    /// and without unpacking what stays as it is.
    #[inline]
    fn look_over_in_chunk(&self, place: &mut Place, cold: Option<&dyn ColdStore>) -> Option<()> {
        let mut code = [0; SAMPLE_BYTES_USUAL];
        let (bytes, _) = self.codes_behind(place, cold, &mut code)?;
        let (mut predictor, skipped) = (place.predictor(), place.bit() % 8);
        let mut window = Window::of(bytes, skipped.into());
        let time = predictor.peek_time(&mut window);
        predictor.decode_value(&time, &mut window);
        // What is forgotten is passed over elsewhere, and a long code is read there.
        let is_whole = window.at() <= 8 * bytes.len();
        (is_whole && time.at > self.forgotten).then(|| {
            place.pass(&predictor, (window.at() as u16 - skipped, 1));
            place.set_looked_at(true);
        })
    }

    /// Moves a place over the samples that come next in its chunk, as long as they are ordinary
    /// numbers and `points` has room, and puts them there. Returns how many they are; where there is
    /// none, [`SeriesHistory::look_over`] may find one. The history has had no insertion since the
    /// place was packed.
    ///
    /// Cost: about 15 ns a sample; what is known of the place is taken up and put down once.
    pub fn take_run(
        &self,
        place: &mut Place,
        cold: Option<&dyn ColdStore>,
        points: &mut [FloatPoint],
    ) -> usize {
        let mut code = [0; SAMPLE_BYTES_MAX];
        let Some((bytes, n_left)) = self.codes_behind(place, cold, &mut code) else {
            return 0;
        };
        let (mut predictor, skipped) = (place.predictor(), place.bit() % 8);
        let mut window = Window::of(bytes, skipped.into());
        let n_points = points.len().min(n_left);
        for (number, point) in points[..n_points].iter_mut().enumerate() {
            let time = predictor.peek_time(&mut window);
            let value = predictor.decode_value(&time, &mut window);
            let is_whole = window.at() <= 8 * bytes.len();
            if !is_whole || predictor.kind != Kind::Number || time.at <= self.forgotten {
                // It is not in the run: those before it are decoded again, and no more.
                return match number {
                    0 => 0,
                    number => self.take_run(place, cold, &mut points[..number]),
                };
            }
            *point = FloatPoint { at: time.at, value };
        }
        place.pass(&predictor, (window.at() as u16 - skipped, n_points as u8));
        n_points
    }

    /// Returns bytes that begin with the code of the sample behind a place, and how many samples its
    /// chunk has from there on; `None` where it has none, or is not there.
    #[inline(always)]
    fn codes_behind<'a>(
        &'a self,
        place: &Place,
        cold: Option<&dyn ColdStore>,
        code: &'a mut [u8],
    ) -> Option<(&'a [u8], usize)> {
        let (byte, (n_passed, n_cold)) = (usize::from(place.bit() / 8), place.counts());
        match place.chunk_number() {
            Some(number) => {
                let chunk = self.chunk(number)?;
                let n_left = chunk.n_samples.checked_sub(n_passed.into())?;
                let bytes = chunk.bytes.get(byte..).filter(|_| n_left > 0)?;
                Some((bytes, n_left))
            }
            None => {
                let at = cold_place(place.chunk()).filter(|_| n_passed < n_cold)?;
                let is_there = cold?.read(at, byte, code) > 0;
                is_there.then_some((&*code, usize::from(n_cold - n_passed)))
            }
        }
    }
}
