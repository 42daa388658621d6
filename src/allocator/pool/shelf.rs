//! The free ports of a band, from which one is drawn by chance at once, however few are left.

use std::collections::HashMap;

use rand::{Rng, RngExt as _};

/// Ports in no order, and where each of them stands.
pub struct Shelf {
    ports: Vec<u16>,
    places: HashMap<u16, usize>,
}

impl Shelf {
    pub fn new(ports: impl IntoIterator<Item = u16>) -> Self {
        let ports: Vec<u16> = ports.into_iter().collect();
        let places = ports.iter().enumerate().map(|(place, &port)| (port, place)).collect();
        Self { ports, places }
    }

    pub fn len(&self) -> u32 {
        self.ports.len() as u32
    }

    /// One that was not drawn yet, after `tried` others of the same search; there has to be one.
    /// Those tried stand at the end.
    pub fn draw(&mut self, tried: u32, random: &mut impl Rng) -> u16 {
        let last = self.ports.len() - 1 - tried as usize;
        let drawn = random.random_range(0..=last);
        self.swap(drawn, last);
        self.ports[last]
    }

    pub fn remove(&mut self, port: u16) {
        if let Some(&place) = self.places.get(&port) {
            self.swap(place, self.ports.len() - 1);
            self.ports.pop();
            self.places.remove(&port);
        }
    }

    pub fn put(&mut self, port: u16) {
        self.places.insert(port, self.ports.len());
        self.ports.push(port);
    }

    fn swap(&mut self, one: usize, other: usize) {
        self.ports.swap(one, other);
        for place in [one, other] {
            self.places.insert(self.ports[place], place);
        }
    }
}
