use object_store::ObjectStoreExt;
use object_store::memory::InMemory;

use super::*;

fn objects() -> Arc<dyn ObjectStore> {
    Arc::new(InMemory::new())
}

fn path() -> Path {
    Path::from("store/alerts.json")
}

async fn acquire(objects: &Arc<dyn ObjectStore>) -> (LeasedObject, Option<Vec<u8>>) {
    LeasedObject::acquire(Arc::clone(objects), path()).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn released_lease_is_acquired_without_waiting() {
    let objects = objects();
    let (mut first, content) = acquire(&objects).await;
    assert_eq!(content, None);
    first.save(b"one".to_vec()).await.unwrap();
    first.release().await;
    let before = Instant::now();
    let (second, content) = acquire(&objects).await;
    assert_eq!((content.as_deref(), second.waited), (Some(&b"one"[..]), false));
    assert_eq!(Instant::now(), before);
}

#[tokio::test(start_paused = true)]
async fn two_runs_at_once_are_serialized() {
    let objects = objects();
    let run = async || {
        let (mut lease, content) = acquire(&objects).await;
        let count: u32 =
            content.map_or(0, |text| String::from_utf8(text).unwrap().parse().unwrap());
        sleep(Duration::from_secs(2)).await;
        lease.save((count + 1).to_string().into_bytes()).await.unwrap();
        lease.release().await;
        count
    };
    let (one, two) = tokio::join!(run(), run());
    assert_eq!(one.min(two), 0);
    assert_eq!(one.max(two), 1);
    let content = LeasedObject::read(Arc::clone(&objects), &path()).await.unwrap();
    assert_eq!(content.as_deref(), Some(&b"2"[..]));
}

#[tokio::test(start_paused = true)]
async fn lease_of_a_killed_run_is_taken_over_after_its_term_only() {
    let objects = objects();
    let (killed, _) = acquire(&objects).await;
    drop(killed);
    let before = Instant::now();
    let (lease, _) = acquire(&objects).await;
    let waited = before.elapsed();
    assert!(
        lease.waited && waited >= LEASE_TERM && waited <= LEASE_TERM + POLL_INTERVAL,
        "{waited:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn renewed_lease_is_not_taken_over() {
    let objects = objects();
    let (mut holder, _) = acquire(&objects).await;
    let renewing = async {
        for _ in 0..100 {
            sleep(RENEW_INTERVAL).await;
            holder.renew().await.unwrap();
        }
    };
    let waiting = LeasedObject::acquire(Arc::clone(&objects), path());
    let ((), other) = tokio::join!(renewing, waiting);
    assert!(matches!(other, Err(LeaseError::Busy)), "{other:?}");
    assert!(holder.is_held());
}

#[tokio::test(start_paused = true)]
async fn run_that_lost_its_lease_saves_nothing() {
    let objects = objects();
    let (mut stalled, _) = acquire(&objects).await;
    let (mut other, _) = acquire(&objects).await;
    other.save(b"new".to_vec()).await.unwrap();
    assert!(!stalled.is_held());
    assert!(matches!(stalled.save(b"old".to_vec()).await, Err(LeaseError::Lost)));
    assert!(matches!(stalled.renew().await, Err(LeaseError::Lost)));
    // also if the run still assumes that its lease is valid
    stalled.valid_until = Instant::now() + LEASE_TERM;
    assert!(matches!(stalled.save(b"old".to_vec()).await, Err(LeaseError::Lost)));
    stalled.release().await;
    assert!(other.is_held());
    other.renew().await.unwrap();
    let content = LeasedObject::read(Arc::clone(&objects), &path()).await.unwrap();
    assert_eq!(content.as_deref(), Some(&b"new"[..]));
}

#[tokio::test(start_paused = true)]
async fn write_that_was_done_without_a_response_is_a_success() {
    let objects = objects();
    let (mut lease, _) = acquire(&objects).await;
    // the response of this write was lost
    objects.put(&path(), b"one".to_vec().into()).await.unwrap();
    lease.save(b"one".to_vec()).await.unwrap();
    lease.save(b"two".to_vec()).await.unwrap();
    // a renewal that timed out, but changed the lease
    let renewed = LeaseRecord { renewals: 7, ..lease.record.clone() };
    objects.put(&lease.lease_path, renewed.to_json().into()).await.unwrap();
    lease.renew().await.unwrap();
    lease.renew().await.unwrap();
    assert!(lease.is_held());
}

#[tokio::test(start_paused = true)]
async fn unreadable_lease_is_taken_over_after_the_term() {
    let objects = objects();
    let lease = Path::from(format!("{}.lock", path()));
    objects.put(&lease, b"not json".to_vec().into()).await.unwrap();
    let before = Instant::now();
    acquire(&objects).await;
    assert!(before.elapsed() >= LEASE_TERM);
}
