#include "schema/base/keyed_queue.hpp"

#include <catch2/catch.hpp>
#include <string>

namespace moored {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

MonoTime at(std::int64_t second) {
  return MonoTime(Duration(seconds(second)));
}

TEST_CASE("a key is held once and comes out in order") {
  KeyedQueue<std::string> queue;
  queue.add("b");
  queue.add("a");
  queue.add("b");
  REQUIRE(queue.size() == 2);
  REQUIRE(queue.pop(at(0)) == "b");
  REQUIRE(queue.pop(at(0)) == "a");
  REQUIRE_FALSE(queue.pop(at(0)).has_value());
  REQUIRE(queue.empty());
}

TEST_CASE("a key that is added while its look goes on is looked at again") {
  KeyedQueue<int> queue;
  queue.add(1);
  REQUIRE(queue.pop(at(0)) == 1);
  queue.add(1);
  queue.succeeded(1);
  REQUIRE(queue.pop(at(0)) == 1);
}

TEST_CASE("a later look waits for its time, and the earliest wish counts") {
  KeyedQueue<int> queue;
  queue.add_at(1, at(30));
  queue.add_at(1, at(60));
  REQUIRE_FALSE(queue.pop(at(29)).has_value());
  REQUIRE(queue.next_due(at(0)) == at(30));
  queue.add_at(1, at(10));
  REQUIRE(queue.next_due(at(0)) == at(10));
  REQUIRE(queue.pop(at(10)) == 1);
  REQUIRE_FALSE(queue.next_due(at(10)).has_value());
}

TEST_CASE("news bring a waiting key forward") {
  KeyedQueue<int> queue;
  queue.add_at(1, at(30));
  queue.add(1);
  REQUIRE(queue.next_due(at(5)) == at(5));
  REQUIRE(queue.pop(at(5)) == 1);
  REQUIRE(queue.empty());
}

TEST_CASE("a time in the past is due now") {
  KeyedQueue<int> queue;
  queue.add_at(1, at(3));
  REQUIRE(queue.next_due(at(9)) == at(9));
}

TEST_CASE("failures in a row wait longer and longer, up to five minutes") {
  KeyedQueue<int> queue;
  SeededRandom random(1);
  MonoTime now = at(0);
  for (int failure = 1; failure <= 20; ++failure) {
    queue.failed(1, now, random);
    const auto due = queue.next_due(now);
    REQUIRE(due.has_value());
    const Duration base = std::min<Duration>(seconds(1LL << (failure - 1)), minutes(5));
    REQUIRE(*due - now >= base);
    REQUIRE(*due - now <= base + base / 10);
    queue.add(1);  // news do not shorten a back-off
    queue.add_at(1, now);
    REQUIRE_FALSE(queue.pop(now).has_value());
    now = *due;
    REQUIRE(queue.pop(now) == 1);
  }
  REQUIRE(queue.failing_count() == 1);
  queue.succeeded(1);
  REQUIRE(queue.failing_count() == 0);
}

TEST_CASE("back-off doubles from one second and success starts it anew") {
  const BackOff back_off;
  REQUIRE(back_off.after(1) == seconds(1));
  REQUIRE(back_off.after(2) == seconds(2));
  REQUIRE(back_off.after(3) == seconds(4));
  REQUIRE(back_off.after(9) == seconds(256));
  REQUIRE(back_off.after(10) == minutes(5));
  REQUIRE(back_off.after(4'000'000'000U) == minutes(5));

  KeyedQueue<int> queue;
  SeededRandom random(7);
  queue.failed(1, at(0), random);
  queue.failed(1, at(0), random);
  REQUIRE(*queue.next_due(at(0)) >= at(2));
  queue.succeeded(1);
  queue.failed(1, at(0), random);
  REQUIRE(*queue.next_due(at(0)) < at(2));
}

TEST_CASE("a failure replaces what was planned for the key") {
  KeyedQueue<int> queue;
  SeededRandom random(3);
  queue.add(1);
  queue.failed(1, at(0), random);
  REQUIRE(queue.size() == 1);
  REQUIRE(queue.ready_count() == 0);
  queue.add_at(2, at(1));
  queue.failed(2, at(0), random);
  REQUIRE(queue.size() == 2);
}

TEST_CASE("jitter comes from the seed alone") {
  const auto due = [](std::uint64_t seed) {
    KeyedQueue<int> queue;
    SeededRandom random(seed);
    for (int key = 0; key < 20; ++key)
      queue.failed(key, at(0), random);
    return *queue.next_due(at(0));
  };
  REQUIRE(due(5) == due(5));
}

TEST_CASE("the queue is bounded and counts what it refuses") {
  KeyedQueue<std::size_t> queue;
  for (std::size_t key = 0; key < KeyedQueue<std::size_t>::kMaxKeys + 5; ++key) {
    if (key % 2 == 0) {
      queue.add(key);
    } else {
      queue.add_at(key, at(1));
    }
  }
  REQUIRE(queue.size() == KeyedQueue<std::size_t>::kMaxKeys);
  REQUIRE(queue.refused_count() == 5);
  REQUIRE(queue.pop(at(0)).has_value());
  queue.add(KeyedQueue<std::size_t>::kMaxKeys + 10);
  REQUIRE(queue.refused_count() == 5);
}

}  // namespace
}  // namespace moored
