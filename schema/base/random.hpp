// Chance that is passed in, so that a replay from the same seed gives the same names.
#pragma once

#include <cstdint>
#include <string>

namespace moored {

// A seam of the simulation: the only source of chance.
class Random {
 public:
  virtual ~Random() = default;
  // 64 uniformly distributed bits.
  virtual std::uint64_t next() = 0;
  // Uniform in [0, bound). bound must not be 0.
  std::uint64_t below(std::uint64_t bound) { return next() % bound; }
};

// SplitMix64 from a seed: fast, small, the same on every machine. Not for secrets.
class SeededRandom final : public Random {
 public:
  explicit SeededRandom(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() override;

 private:
  std::uint64_t state_;
};

// The kernel's own randomness.
class SystemRandom final : public Random {
 public:
  std::uint64_t next() override;
};

// A version 4 UUID in lower case, and a name suffix of n letters from Kubernetes' safe alphabet.
std::string make_uuid(Random& random);
std::string make_suffix(Random& random, std::size_t length);

}  // namespace moored
