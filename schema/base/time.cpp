#include "schema/base/time.hpp"

#include <array>
#include <cstdint>
#include <cstdio>
#include <ctime>

namespace moored {
namespace {

using std::chrono::duration_cast;
using std::chrono::floor;
using std::chrono::seconds;

// "YYYY-MM-DDThh:mm:ss" of a second count, without zone.
std::string format_seconds(std::int64_t unix_seconds) {
  const auto raw = static_cast<std::time_t>(unix_seconds);
  std::tm parts{};
  gmtime_r(&raw, &parts);
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%04d-%02d-%02dT%02d:%02d:%02d", parts.tm_year + 1900,
                parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec);
  return text.data();
}

// Takes exactly n digits off the front. False: they are not there.
bool take_digits(std::string_view& text, std::size_t n, int& value) {
  if (text.size() < n) return false;
  value = 0;
  for (std::size_t i = 0; i < n; ++i) {
    if (text[i] < '0' || text[i] > '9') return false;
    value = value * 10 + (text[i] - '0');
  }
  text.remove_prefix(n);
  return true;
}

bool take(std::string_view& text, char a, char b) {
  if (text.empty() || (text.front() != a && text.front() != b)) return false;
  text.remove_prefix(1);
  return true;
}

// Reads ".123456789", keeping microseconds. True also when there is no fraction.
bool take_fraction(std::string_view& text, std::int64_t& micros) {
  micros = 0;
  if (text.empty() || text.front() != '.') return true;
  text.remove_prefix(1);
  std::int64_t scale = 100'000;
  std::size_t digits = 0;
  while (!text.empty() && text.front() >= '0' && text.front() <= '9') {
    micros += (text.front() - '0') * scale;
    scale /= 10;
    ++digits;
    text.remove_prefix(1);
  }
  return digits > 0;
}

// Reads "Z" or "+hh:mm", giving the offset in minutes.
bool take_zone(std::string_view& text, int& minutes) {
  minutes = 0;
  if (take(text, 'Z', 'z')) return true;
  if (text.empty() || (text.front() != '+' && text.front() != '-')) return false;
  const int sign = text.front() == '-' ? -1 : 1;
  text.remove_prefix(1);
  int hour = 0;
  int minute = 0;
  if (!take_digits(text, 2, hour) || !take(text, ':', ':') || !take_digits(text, 2, minute)) {
    return false;
  }
  if (hour > 23 || minute > 59) return false;
  minutes = sign * (hour * 60 + minute);
  return true;
}

struct Unit {
  std::string_view name;
  std::int64_t micros;
};
// Longer names first, so that "ms" is not read as "m".
constexpr std::array<Unit, 6> kUnits{{{"ms", 1'000},
                                      {"us", 1},
                                      {"ns", 0},
                                      {"h", 3'600'000'000},
                                      {"m", 60'000'000},
                                      {"s", 1'000'000}}};

}  // namespace

Now SystemClock::now() const {
  return {floor<Duration>(std::chrono::system_clock::now()),
          std::chrono::time_point_cast<Duration>(std::chrono::steady_clock::now())};
}

std::string format_time(Time time) {
  return format_seconds(floor<seconds>(time).time_since_epoch().count()) + "Z";
}

std::string format_micro_time(Time time) {
  const auto whole = floor<seconds>(time);
  std::array<char, 16> text{};
  std::snprintf(text.data(), text.size(), ".%06lldZ",
                static_cast<long long>((time - whole).count()));
  return format_seconds(whole.time_since_epoch().count()) + text.data();
}

std::string format_nano_time(std::chrono::sys_time<std::chrono::nanoseconds> time) {
  const auto whole = floor<seconds>(time);
  std::array<char, 16> text{};
  std::snprintf(text.data(), text.size(), ".%09lldZ",
                static_cast<long long>((time - whole).count()));
  return format_seconds(whole.time_since_epoch().count()) + text.data();
}

std::optional<Time> parse_time(std::string_view text) {
  int year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0, zone = 0;
  std::int64_t micros = 0;
  const bool read = take_digits(text, 4, year) && take(text, '-', '-') &&
                    take_digits(text, 2, month) && take(text, '-', '-') &&
                    take_digits(text, 2, day) && take(text, 'T', 't') &&
                    take_digits(text, 2, hour) && take(text, ':', ':') &&
                    take_digits(text, 2, minute) && take(text, ':', ':') &&
                    take_digits(text, 2, second) && take_fraction(text, micros) &&
                    take_zone(text, zone);
  if (!read || !text.empty() || hour > 23 || minute > 59 || second > 59) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year(year),
                                         std::chrono::month(static_cast<unsigned>(month)),
                                         std::chrono::day(static_cast<unsigned>(day))};
  if (!date.ok()) return std::nullopt;
  return Time(std::chrono::sys_days(date).time_since_epoch()) + std::chrono::hours(hour) +
         std::chrono::minutes(minute - zone) + seconds(second) + Duration(micros);
}

std::optional<Duration> parse_duration(std::string_view text) {
  if (text == "0") return Duration(0);
  if (text.empty()) return std::nullopt;
  double total = 0;
  while (!text.empty()) {
    double number = 0;
    double scale = 0;
    std::size_t digits = 0;
    for (; !text.empty(); text.remove_prefix(1)) {
      const char c = text.front();
      if (c == '.' && scale == 0) {
        scale = 1;
      } else if (c >= '0' && c <= '9') {
        number = number * 10 + (c - '0');
        scale *= 10;
        ++digits;
      } else {
        break;
      }
    }
    if (digits == 0) return std::nullopt;
    if (scale > 1) number /= scale;
    const Unit* unit = nullptr;
    for (const auto& row : kUnits) {
      if (text.substr(0, row.name.size()) == row.name) {
        unit = &row;
        break;
      }
    }
    if (unit == nullptr) return std::nullopt;
    text.remove_prefix(unit->name.size());
    total += number * static_cast<double>(unit->micros);
    if (total > 9e15) return std::nullopt;
  }
  return Duration(static_cast<std::int64_t>(total + 0.5));
}

std::string format_duration(Duration duration) {
  auto micros = duration.count();
  if (micros == 0) return "0s";
  std::string out;
  if (micros < 0) {
    out = "-";
    micros = -micros;
  }
  const auto put = [&](std::int64_t size, const char* name) {
    if (micros < size) return;
    out += std::to_string(micros / size) + name;
    micros %= size;
  };
  put(3'600'000'000, "h");
  put(60'000'000, "m");
  put(1'000'000, "s");
  put(1'000, "ms");
  put(1, "us");
  return out;
}

}  // namespace moored
