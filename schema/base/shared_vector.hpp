// A vector for long lists that are copied much more often than changed.
#pragma once

#include <cstddef>
#include <initializer_list>
#include <memory>
#include <utility>
#include <vector>

namespace moored {

// Copies share their elements until one of them is changed. They may be read on different threads;
// one is changed only where no other thread holds what it was copied from.
template <class T>
class SharedVector {
 public:
  using value_type = T;
  using const_iterator = typename std::vector<T>::const_iterator;

  SharedVector() = default;
  SharedVector(std::initializer_list<T> values)
      : values_(std::make_shared<std::vector<T>>(values)) {}
  explicit SharedVector(std::vector<T> values)
      : values_(std::make_shared<std::vector<T>>(std::move(values))) {}

  std::size_t size() const { return values_ ? values_->size() : 0; }
  bool empty() const { return size() == 0; }
  const_iterator begin() const { return values_ ? values_->cbegin() : const_iterator(); }
  const_iterator end() const { return values_ ? values_->cend() : const_iterator(); }
  const T& operator[](std::size_t index) const { return (*values_)[index]; }

  // Takes a copy first when others share the elements.
  T& emplace_back() { return own().emplace_back(); }
  void push_back(T value) { own().push_back(std::move(value)); }
  void clear() { values_.reset(); }

  bool operator==(const SharedVector& other) const {
    if (values_ == other.values_) return true;
    if (size() != other.size()) return false;
    return empty() || *values_ == *other.values_;
  }

 private:
  std::vector<T>& own() {
    if (!values_) values_ = std::make_shared<std::vector<T>>();
    if (values_.use_count() > 1) values_ = std::make_shared<std::vector<T>>(*values_);
    return *values_;
  }

  std::shared_ptr<std::vector<T>> values_;  // null: empty
};

}  // namespace moored
