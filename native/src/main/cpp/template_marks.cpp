// What patch 0007 leaves to us: which values of a template are made of input, and the blanks of Python.

#include "template_budget.h"

#include "jinja/value.h"

#include <algorithm>
#include <array>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>

namespace jinja {

namespace {

/// Builtins that return their arguments or parts of them as they are, nothing of their text, or text with its marks.
bool keeps_marks(const std::string & name) {
    static const std::set<std::string> names = {
        "abs", "append", "capitalize", "default", "dictsort", "endswith", "first", "float", "get", "int", "items", "keys",
        "last", "length", "list", "lower", "lstrip", "map", "max", "min", "namespace", "pop", "raise_exception", "range",
        "reject", "rejectattr", "reverse", "rstrip", "safe", "select", "selectattr", "sort", "startswith", "string",
        "strip", "title", "upper", "values",
    };
    return names.count(name) > 0;
}

/// A copy in which all text is input.
value as_input(const value & val) {
    spend(1);
    if (is_val<value_string>(val)) {
        value_string copy = mk_val<value_string>(val->val_str);
        copy->mark_input();
        return copy;
    }
    if (is_val<value_array>(val)) {
        std::vector<value> copies;
        for (const value & item : val->as_array()) {
            copies.push_back(as_input(item));
        }
        if (is_val<value_tuple>(val)) {
            return mk_val<value_tuple>(std::move(copies));
        }
        return mk_val<value_array>(std::move(copies));
    }
    return val;
}

constexpr std::array<std::string_view, 29> blanks = {
    "\t", "\n", "\v", "\f", "\r", "\x1c", "\x1d", "\x1e", "\x1f", " ", "\xc2\x85", "\xc2\xa0", "\xe1\x9a\x80",
    "\xe2\x80\x80", "\xe2\x80\x81", "\xe2\x80\x82", "\xe2\x80\x83", "\xe2\x80\x84", "\xe2\x80\x85", "\xe2\x80\x86",
    "\xe2\x80\x87", "\xe2\x80\x88", "\xe2\x80\x89", "\xe2\x80\x8a", "\xe2\x80\xa8", "\xe2\x80\xa9", "\xe2\x80\xaf",
    "\xe2\x81\x9f", "\xe3\x80\x80",
};

} // namespace

bool holds_input(const value_t & val) {
    spend(1 + val.val_str.parts.size() / 128);
    if (const auto * kwarg = dynamic_cast<const value_kwarg_t *>(&val)) {
        return holds_input(*kwarg->val);
    }
    return std::any_of(val.val_str.parts.begin(), val.val_str.parts.end(), [](const auto & part) { return part.is_input; })
        || std::any_of(val.val_arr.begin(), val.val_arr.end(), [](const value & item) { return holds_input(*item); })
        || std::any_of(val.val_obj.begin(), val.val_obj.end(), [](const auto & pair) {
               return holds_input(*pair.first) || holds_input(*pair.second);
           });
}

func_handler keeping_marks(const std::string & name, const func_handler & builtin) {
    if (keeps_marks(name)) {
        return builtin;
    }
    const bool slices = name == "slice"; // which keeps the items of an array, not the characters of a text
    const bool formats = name == "format"; // which keeps the marks of what it inserts, not those of its own text
    const func_handler * original = &builtin; // builtins live as long as the library
    return [original, slices, formats](const func_args & args) -> value {
        value result = (*original)(args);
        const std::vector<value> & given = args.get_args();
        if (slices && !given.empty() && is_val<value_array>(given[0])) {
            return result;
        }
        if (formats && !given.empty() && !holds_input(*given[0])) {
            return result;
        }
        const bool input =
            std::any_of(given.begin(), given.end(), [](const value & argument) { return holds_input(*argument); });
        return input ? as_input(result) : result;
    };
}

void refuse_member(const value_t & container, const value & member) {
    spend(1);
    if (member.get() == &container) {
        throw std::runtime_error("a value cannot be put into itself");
    }
    if (is_val<value_func>(member)) {
        throw std::runtime_error("a function cannot be put into a value");
    }
    for (const value & item : member->val_arr) {
        refuse_member(container, item);
    }
    for (const auto & pair : member->val_obj) {
        refuse_member(container, pair.second);
    }
}

size_t leading_blanks(const std::string & text) {
    const std::string_view all = text;
    size_t end = 0;
    while (true) {
        const auto found = std::find_if(blanks.begin(), blanks.end(),
            [&](std::string_view blank) { return all.substr(end, blank.size()) == blank; });
        if (found == blanks.end()) {
            return end;
        }
        end += found->size();
    }
}

size_t trailing_blanks(const std::string & text) {
    std::string_view rest = text;
    while (true) {
        const auto found = std::find_if(blanks.begin(), blanks.end(), [&](std::string_view blank) {
            return rest.size() >= blank.size() && rest.substr(rest.size() - blank.size()) == blank;
        });
        if (found == blanks.end()) {
            return text.size() - rest.size();
        }
        rest.remove_suffix(found->size());
    }
}

} // namespace jinja
