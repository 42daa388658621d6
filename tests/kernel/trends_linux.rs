//! The forecast for a real range that runs out, in a private network namespace.

use std::{
    io::ErrorKind,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::mpsc::{self, Receiver, RecvTimeoutError, Sender},
    thread,
    time::{Duration, Instant},
};

use portscope::{
    domain::{Analysis, Destination, Forecast, Snapshot, Source, Subject},
    host::{Host, OwnerDepth, linux::LinuxHost},
};

use crate::{
    churn::TrendWatch,
    namespace::{allow_many_descriptors, in_new_namespace, set_sysctl},
};

const PORTS: u32 = 4096;
const PER_SECOND: u32 = 400;
const SCAN_EACH: Duration = Duration::from_millis(250);

/// Opens connections at fixed times until no port is left, and sends the time at which that was.
fn load(server: SocketAddr, full: &Sender<Instant>) -> Vec<TcpStream> {
    let start = Instant::now();
    let mut held = Vec::new();
    loop {
        let due = start + Duration::from_secs(1) * held.len() as u32 / PER_SECOND;
        while let left = due.saturating_duration_since(Instant::now())
            && !left.is_zero()
        {
            thread::park_timeout(left);
        }
        match TcpStream::connect(server) {
            Ok(stream) => held.push(stream),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::AddrNotAvailable, "{error}");
                full.send(Instant::now()).unwrap();
                return held;
            }
        }
    }
}

/// Returns the forecasts of all scans until the range is full, and the time at which it was full.
fn trend_watch(
    destination: Destination,
    full: &Receiver<Instant>,
) -> (Vec<(Instant, Forecast)>, Instant) {
    let host = LinuxHost::new();
    let mut scanner = host.scanner().unwrap();
    let mut snapshot = Snapshot::empty(host.machine(), Source::SockDiag);
    let mut trend_watch = TrendWatch::default();
    let mut forecasts = Vec::new();
    loop {
        scanner.scan(OwnerDepth::Skip, &mut snapshot).unwrap();
        let now = Instant::now();
        let analysis = Analysis::of(&snapshot);
        trend_watch.history.observe(&snapshot);
        trend_watch.trends.observe(&snapshot, &analysis, &trend_watch.history);
        if let Some(trend) = trend_watch.trends.of(Subject::Destination(destination)) {
            let left = analysis.destination(&destination).unwrap().available();
            forecasts.extend(trend.until(left).map(|forecast| (now, forecast)));
        }
        match full.recv_timeout(SCAN_EACH) {
            Ok(at) => return (forecasts, at),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => panic!("the load ended early"),
        }
    }
}

#[test]
fn exhaustion_of_a_real_range_is_forecast_within_20_percent_from_half_way() {
    allow_many_descriptors();
    in_new_namespace(|| {
        set_sysctl("ip_local_port_range", &format!("32768 {}", 32_767 + PORTS));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 20_000)).unwrap();
        let server = listener.local_addr().unwrap();
        let source = IpAddr::from(Ipv4Addr::LOCALHOST);
        let destination =
            Destination { source, remote: (source, server.port()).into(), interface: None };
        let (tell_full, full) = mpsc::channel();
        let start = Instant::now();
        let (forecasts, at) = thread::scope(|scope| {
            scope.spawn(|| (0..PORTS).map(|_| listener.accept().unwrap()).collect::<Vec<_>>());
            scope.spawn(move || load(server, &tell_full));
            trend_watch(destination, &full)
        });
        let half = start + (at - start) / 2;
        let last = at.checked_sub(Duration::from_secs(1)).unwrap();
        let late = forecasts.iter().filter(|(forecast_at, _)| (half..last).contains(forecast_at));
        let mut worst = 0.0_f64;
        for (forecast_at, forecast) in late.clone() {
            let real = (at - *forecast_at).as_secs_f64();
            eprintln!("in {real:.2} s: {forecast:.2?}");
            worst = worst.max((forecast.seconds / real - 1.0).abs());
        }
        eprintln!("full after {:?}, worst {worst:.3}", at - start);
        assert!(late.count() >= 10);
        assert!(worst <= 0.2, "off by {worst}");
    });
}
