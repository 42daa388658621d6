//! Free ports of a band. Draws one at random in constant time, however few are left.

use rand::{Rng, RngExt as _};

/// The free ports of a band, each as its place in the band, counted from 0. Keeps a list of the
/// free places in any order, and the index of each free place in that list.
pub struct FreeList {
    free: Vec<u16>,
    position: Vec<u16>,
}

impl FreeList {
    /// Creates a list of `length` places, all of them free. `length` is below 65,536, because no
    /// band contains port 0.
    pub fn of(length: u32) -> Self {
        let free: Vec<u16> = (0..length).map(|index| index as u16).collect();
        Self { position: free.clone(), free }
    }

    pub fn len(&self) -> u32 {
        self.free.len() as u32
    }

    /// Draws a free place that the current search has not drawn yet. `tried` is the number of
    /// places that the search has drawn, which must be less than the number of free places. The
    /// places that a search has drawn are at the end of the list, in reverse order of drawing.
    pub fn draw(&mut self, tried: u32, random: &mut impl Rng) -> u32 {
        let last = self.free.len() - 1 - tried as usize;
        let drawn = random.random_range(0..=last);
        self.swap(drawn, last);
        u32::from(self.free[last])
    }

    /// Removes a place, which must be free.
    pub fn remove(&mut self, index: u32) {
        let position = usize::from(self.position[index as usize]);
        self.swap(position, self.free.len() - 1);
        self.free.pop();
    }

    /// Adds a place, which must not be free.
    pub fn put(&mut self, index: u32) {
        self.position[index as usize] = self.free.len() as u16;
        self.free.push(index as u16);
    }

    fn swap(&mut self, one: usize, other: usize) {
        self.free.swap(one, other);
        for at in [one, other] {
            self.position[usize::from(self.free[at])] = at as u16;
        }
    }
}
