#include "reconciler/core/plan.hpp"

#include <iterator>
#include <utility>

namespace moored {
namespace {

template <class T>
void append(std::vector<T>& to, std::vector<T>&& from) {
  to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
}

}  // namespace

void Plan::put(Object object, std::string reason) {
  ObjectKey key = object.key();
  writes.push_back({Write::Type::put, std::move(key), std::move(object), std::move(reason)});
}

void Plan::status(Object object, std::string reason) {
  ObjectKey key = object.key();
  writes.push_back({Write::Type::status, std::move(key), std::move(object), std::move(reason)});
}

void Plan::remove(ObjectKey key, std::string reason) {
  writes.push_back({Write::Type::remove, std::move(key), {}, std::move(reason)});
}

void Plan::take(Plan other) {
  append(writes, std::move(other.writes));
  append(events, std::move(other.events));
  append(receipt, std::move(other.receipt));
  append(drift, std::move(other.drift));
  append(operators, std::move(other.operators));
  append(requeues, std::move(other.requeues));
}

}  // namespace moored
