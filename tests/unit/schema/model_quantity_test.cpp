// The exact grammar of quantities and their canonical texts.
#include <catch2/catch.hpp>

#include "schema/model/quantity.hpp"

namespace moored {
namespace {

struct Good {
  const char* text;
  std::int64_t milli;
  const char* canonical;
};

TEST_CASE("quantities are read exactly and written canonically") {
  const auto row = GENERATE(values<Good>({
      {"0", 0, "0"}, {"0m", 0, "0"}, {"0Ki", 0, "0"}, {"00", 0, "0"}, {"-0", 0, "0"},
      {"1", 1000, "1"}, {"+1", 1000, "1"}, {"-1", -1000, "-1"}, {"007", 7000, "7"},
      {"100m", 100, "100m"}, {"1000m", 1000, "1"}, {"1500m", 1500, "1500m"},
      {"0.5", 500, "500m"}, {".5", 500, "500m"}, {"1.", 1000, "1"}, {"1.50", 1500, "1500m"},
      {"0.001", 1, "1m"}, {"250m", 250, "250m"}, {"2.5", 2500, "2500m"},
      {"1k", 1000000, "1k"}, {"1000k", 1000000000, "1M"}, {"1500", 1500000, "1500"},
      {"1000", 1000000, "1k"}, {"12M", 12000000000, "12M"}, {"1G", 1000000000000, "1G"},
      {"1T", 1000000000000000, "1T"}, {"9P", 9000000000000000000, "9P"},
      {"1e3", 1000000, "1e3"}, {"1E3", 1000000, "1e3"}, {"1e0", 1000, "1"},
      {"1e-3", 1, "1e-3"}, {"123e5", 12300000000, "12300e3"}, {"1.5e3", 1500000, "1500"},
      {"1Ki", 1024000, "1Ki"}, {"1024Ki", 1048576000, "1Mi"}, {"64Mi", 67108864000, "64Mi"},
      {"1.5Gi", 1610612736000, "1536Mi"}, {"0.5Ki", 512000, "512"}, {"0.1Ki", 102400, "102400m"},
      {"1025Ki", 1049600000, "1025Ki"}, {"1.953125Ki", 2000000, "2k"},
      {"8Pi", 9007199254740992000, "8Pi"}, {"-1Ki", -1024000, "-1Ki"},
  }));
  INFO(row.text);
  const auto quantity = Quantity::parse(row.text);
  REQUIRE(quantity);
  CHECK(quantity->milli() == row.milli);
  CHECK(quantity->text() == row.canonical);
  const auto again = Quantity::parse(quantity->text());
  REQUIRE(again);
  CHECK(*again == *quantity);
  CHECK(again->text() == quantity->text());
}

TEST_CASE("what is below a thousandth is rounded away from zero") {
  CHECK(Quantity::parse("1n")->milli() == 1);
  CHECK(Quantity::parse("1u")->milli() == 1);
  CHECK(Quantity::parse("1001u")->milli() == 2);
  CHECK(Quantity::parse("0.0001")->milli() == 1);
  CHECK(Quantity::parse("-1n")->milli() == -1);
  CHECK(Quantity::parse("1e-9")->milli() == 1);
  CHECK(Quantity::parse("0.00000000000000000000001")->milli() == 1);
}

TEST_CASE("texts that are no quantities are refused") {
  const auto* text = GENERATE(
      "", " ", "1 ", " 1", "m", "Ki", ".", "-", "+", "--1", "1.2.3", "1,5", "1K", "1ki", "1mi",
      "1kB", "1MB", "1e", "1e+", "1e1.5", "1e3k", "0x10", "1_000", "NaN", "inf", "1Mi ",
      "1e9999", "9223372036854775807", "9223372036854775807Ki", "1Ei", "1E", "10P",
      "11111111111111111111111111", "1m1", "١");
  INFO(text);
  CHECK_FALSE(Quantity::parse(text));
}

TEST_CASE("a text of any length is judged without harm") {
  CHECK_FALSE(Quantity::parse(std::string(1'000'000, '1')));
  CHECK_FALSE(Quantity::parse("1e" + std::string(1'000'000, '0')));
  CHECK_FALSE(Quantity::parse(std::string("1\0", 2)));
}

TEST_CASE("numbers of the machine become quantities") {
  CHECK(Quantity::of(Bytes{0}).text() == "0");
  CHECK(Quantity::of(Bytes{4096}).text() == "4Ki");
  CHECK(Quantity::of(Bytes{8L << 30}).text() == "8Gi");
  CHECK(Quantity::of(Bytes{1500}).text() == "1500");
  CHECK(Quantity::of(Bytes{INT64_MAX}).value() == INT64_MAX / 1000);
  CHECK(Quantity::of(MilliCpu{1500}).text() == "1500m");
  CHECK(Quantity::of(MilliCpu{2000}).text() == "2");
  CHECK(Quantity::of_count(500).text() == "500");
  CHECK(Quantity::of_count(INT64_MAX).value() == INT64_MAX / 1000);
}

TEST_CASE("whole units are rounded up, and order follows the number") {
  CHECK(Quantity::parse("100m")->value() == 1);
  CHECK(Quantity::parse("1001m")->value() == 2);
  CHECK(Quantity::parse("-1001m")->value() == -2);
  CHECK(Quantity::parse("1Ki")->bytes() == Bytes{1024});
  CHECK(Quantity::parse("250m")->cpu() == MilliCpu{250});
  CHECK(*Quantity::parse("1024") == *Quantity::parse("1Ki"));
  CHECK(*Quantity::parse("1k") < *Quantity::parse("1Ki"));
  CHECK(Quantity() == *Quantity::parse("0"));
}

}  // namespace
}  // namespace moored
