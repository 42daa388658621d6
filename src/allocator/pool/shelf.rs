//! The free ports of a band, from which one is drawn by chance at once, however few are left.

use rand::{Rng, RngExt as _};

/// Places of a band, counted from 0: those that are free in no order, and where each of them stands.
pub struct Shelf {
    free: Vec<u16>,
    stands: Vec<u16>,
}

impl Shelf {
    /// All are free. A band has less than 65,536 places, for port 0 is in none.
    pub fn of(length: u32) -> Self {
        let free: Vec<u16> = (0..length).map(|place| place as u16).collect();
        Self { stands: free.clone(), free }
    }

    pub fn len(&self) -> u32 {
        self.free.len() as u32
    }

    /// One that was not drawn yet, after `tried` others of the same search; there has to be one.
    /// Those tried stand at the end.
    pub fn draw(&mut self, tried: u32, random: &mut impl Rng) -> u32 {
        let last = self.free.len() - 1 - tried as usize;
        let drawn = random.random_range(0..=last);
        self.swap(drawn, last);
        u32::from(self.free[last])
    }

    /// It has to be free.
    pub fn remove(&mut self, place: u32) {
        let stands = usize::from(self.stands[place as usize]);
        self.swap(stands, self.free.len() - 1);
        self.free.pop();
    }

    /// It must not be free.
    pub fn put(&mut self, place: u32) {
        self.stands[place as usize] = self.free.len() as u16;
        self.free.push(place as u16);
    }

    fn swap(&mut self, one: usize, other: usize) {
        self.free.swap(one, other);
        for at in [one, other] {
            self.stands[usize::from(self.free[at])] = at as u16;
        }
    }
}
