// JNI of chat templates: io.llamafu.chat.TemplateEngine.

#include "jni_support.h"
#include "template_budget.h"

#include "jinja/lexer.h"
#include "jinja/parser.h"
#include "jinja/runtime.h"

#include <algorithm>
#include <array>
#include <ctime>
#include <functional>
#include <new>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <locale.h>
#include <pthread.h>

using namespace llamafu;

namespace {

constexpr size_t mib = size_t{1} << 20;
constexpr size_t most_work = 1000 * 1000;
constexpr size_t most_bytes = 128 * mib;
/// The copies of a message that all the expressions of a template around it may make.
constexpr size_t copies_of_input = 64;
/// Destructors of nested values recur too, and cannot be stopped: work and bytes bound them to less than the rest.
constexpr size_t stack_size = 128 * mib;
constexpr size_t most_stack = 16 * mib;
/// The parser recurs at most once for each of them.
constexpr size_t most_open_statements = 500;
constexpr size_t most_tokens_of_an_expression = 4000;

/// A conversation and what else a template may read. The contents of messages are input.
struct Conversation {
    std::vector<std::pair<std::string, std::string>> messages; // role, content
    std::vector<std::pair<std::string, std::string>> texts;
    std::vector<std::pair<std::string, bool>> flags;
    bool content_parts = false; // [{"type": "text", "text": ...}] in place of the text
    std::time_t now = 0;
};

/// raise_exception of a template. Not a std::exception, so that the engine does not add to the message.
struct TemplateRaised {
    std::string message;
};

void check_nesting(const std::vector<jinja::token> & tokens) {
    std::vector<std::pair<std::string, size_t>> open; // statement, its branches
    size_t depth = 0;
    size_t expression = 0;
    for (size_t i = 0; i < tokens.size(); i++) {
        const jinja::token & token = tokens[i];
        if (token.t == jinja::token::close_statement || token.t == jinja::token::close_expression
            || token.t == jinja::token::text || token.t == jinja::token::comment) {
            expression = 0;
            continue;
        }
        if (++expression > most_tokens_of_an_expression) {
            throw TemplateStopped{"has an expression of more than 4,000 tokens"};
        }
        if (token.t != jinja::token::open_statement || i + 1 == tokens.size()
            || tokens[i + 1].t != jinja::token::identifier) {
            continue;
        }
        const std::string & name = tokens[i + 1].value;
        if (name == "elif" && !open.empty()) {
            open.back().second++;
            depth++;
        } else if (name == "if" || name == "for" || name == "macro" || name == "call" || name == "filter"
            || name == "set") {
            size_t brackets = 0;
            bool assigns = false; // {% set x = 1 %} ends itself
            for (size_t j = i + 2; name == "set" && !assigns && j < tokens.size()
                 && tokens[j].t != jinja::token::close_statement; j++) {
                const auto type = tokens[j].t;
                brackets += type == jinja::token::open_paren || type == jinja::token::open_square_bracket
                    || type == jinja::token::open_curly_bracket;
                brackets -= type == jinja::token::close_paren || type == jinja::token::close_square_bracket
                    || type == jinja::token::close_curly_bracket;
                assigns = type == jinja::token::equals && brackets == 0;
            }
            if (!assigns) {
                open.emplace_back(name, 1);
                depth++;
            }
        } else if (!open.empty() && name == "end" + open.back().first) {
            depth -= open.back().second;
            open.pop_back();
        }
        if (depth > most_open_statements) {
            throw TemplateStopped{"nests more than 500 statements"};
        }
    }
}

jinja::program parse(const std::string & source) {
    const jinja::lexer_result lexed = jinja::lexer().tokenize(source);
    check_nesting(lexed.tokens);
    return jinja::parse_from_tokens(lexed);
}

jinja::value input(const std::string & text) {
    return jinja::mk_val<jinja::value_string>(jinja::string(text, true));
}

jinja::value message(const std::pair<std::string, std::string> & from, bool content_parts) {
    auto result = jinja::mk_val<jinja::value_object>();
    result->insert("role", jinja::mk_val<jinja::value_string>(from.first));
    if (content_parts) {
        auto part = jinja::mk_val<jinja::value_object>();
        part->insert("type", jinja::mk_val<jinja::value_string>("text"));
        part->insert("text", input(from.second));
        result->insert("content", jinja::mk_val<jinja::value_array>(std::vector<jinja::value>{part}));
    } else {
        result->insert("content", input(from.second));
    }
    return result;
}

jinja::value date(const jinja::func_args & args, std::time_t now) {
    args.ensure_vals<jinja::value_string>();
    const jinja::value given = args.get_pos(0);
    const std::string format = given->as_string().str();
    std::tm utc = {};
    gmtime_r(&now, &utc);
    std::array<char, 256> text;
    const size_t length = std::strftime(text.data(), text.size(), format.c_str(), &utc);
    if (length == 0 && !format.empty()) {
        throw std::runtime_error("strftime_now('" + format + "') is empty or longer than 255 bytes");
    }
    auto result = jinja::mk_val<jinja::value_string>(std::string(text.data(), length));
    if (jinja::holds_input(*given)) {
        result->val_str.mark_input(); // what a format repeats of a message
    }
    return result;
}

void set_variables(jinja::context & context, const Conversation & conversation) {
    auto messages = jinja::mk_val<jinja::value_array>();
    for (const auto & from : conversation.messages) {
        messages->push_back(message(from, conversation.content_parts));
    }
    context.set_val("messages", messages);
    // transformers passes both, also if there are none
    context.set_val("tools", jinja::mk_val<jinja::value_none>());
    context.set_val("documents", jinja::mk_val<jinja::value_none>());
    for (const auto & [name, text] : conversation.texts) {
        context.set_val(name, jinja::mk_val<jinja::value_string>(text));
    }
    for (const auto & [name, flag] : conversation.flags) {
        context.set_val(name, jinja::mk_val<jinja::value_bool>(flag));
    }
    const std::time_t now = conversation.now;
    context.set_val("strftime_now", jinja::mk_val<jinja::value_func>(
        "strftime_now", [now](const jinja::func_args & args) { return date(args, now); }));
    context.set_val("raise_exception", jinja::mk_val<jinja::value_func>(
        "raise_exception", [](const jinja::func_args & args) -> jinja::value {
            throw TemplateRaised{args.get_pos(0)->as_string().str()};
        }));
}

void append(std::string & packed, bool is_input, const std::string & text) {
    packed += is_input ? '\1' : '\0';
    for (int shift = 24; shift >= 0; shift -= 8) {
        packed += static_cast<char>(text.size() >> shift & 0xff);
    }
    packed += text;
}

/// Each part as a byte that is 1 for input, its length as a big-endian int32, and its UTF-8.
std::string render(const std::string & source, const Conversation & conversation) {
    const jinja::program program = parse(source);
    jinja::context context(source);
    set_variables(context, conversation);
    const jinja::value result = jinja::runtime(context).execute(program);
    const jinja::value_string text = jinja::runtime::gather_string_parts(result);
    std::string packed;
    for (const auto & part : text->val_str.parts) {
        append(packed, part.is_input, part.val);
    }
    return packed;
}

/// The place and the reason from a message of the engine, which shows the source around it.
std::string one_line(const std::string & message) {
    const size_t error = message.rfind("Error: ");
    std::string line = error == std::string::npos ? message : message.substr(error + 7);
    const size_t place = message.find(" at line ");
    const size_t end = message.find(" in source", place == std::string::npos ? 0 : place);
    if (place != std::string::npos && end != std::string::npos) {
        line += " (" + message.substr(place + 1, end - place - 1) + ")";
    }
    std::replace(line.begin(), line.end(), '\n', ' ');
    return line.substr(0, 400);
}

/// What runs on the thread of run_on_large_stack, with its outcome.
struct Task {
    std::function<std::string()> body;
    size_t most_bytes;
    std::string result;
    const char * code = nullptr;
    std::string error;

    void fail(const char * with, const std::string & message) {
        code = with;
        error = message;
    }

    void run() {
        try {
            TemplateBudget budget(most_work, most_bytes, most_stack);
            result = body();
        } catch (const TemplateStopped & stopped) {
            fail("CHAT_TEMPLATE_FAILED", std::string("The chat template ") + stopped.reason + ".");
        } catch (const TemplateRaised & raised) {
            fail("CHAT_TEMPLATE_FAILED", "The chat template refuses the conversation: " + raised.message.substr(0, 400));
        } catch (const std::bad_alloc &) {
            fail("OUT_OF_MEMORY", "The operating system refused memory for a chat template.");
        } catch (const std::exception & e) {
            fail("CHAT_TEMPLATE_FAILED", "The chat template cannot be rendered: " + one_line(e.what()));
        } catch (...) {
            fail("CHAT_TEMPLATE_FAILED", "The chat template cannot be rendered, and does not say why.");
        }
    }
};

void * run_task(void * task) noexcept {
    // the JVM has the locale of its user, in which a letter of a byte may be a blank
    const locale_t c_locale = newlocale(LC_ALL_MASK, "C", nullptr);
    if (c_locale != nullptr) {
        uselocale(c_locale);
    }
    static_cast<Task *>(task)->run();
    if (c_locale != nullptr) {
        uselocale(LC_GLOBAL_LOCALE);
        freelocale(c_locale);
    }
    return nullptr;
}

/// The stack of a task thread of Flink is too small for a recursive parser.
void run_on_large_stack(Task & task) {
    pthread_attr_t attributes;
    pthread_t thread;
    bool started = pthread_attr_init(&attributes) == 0;
    if (started) {
        started = pthread_attr_setstacksize(&attributes, stack_size) == 0
            && pthread_create(&thread, &attributes, run_task, &task) == 0;
        pthread_attr_destroy(&attributes);
    }
    if (!started) {
        throw CodedError("OUT_OF_MEMORY", "The operating system refused a thread to render a chat template.");
    }
    pthread_join(thread, nullptr);
    if (task.code != nullptr) {
        throw CodedError(task.code, task.error);
    }
}

std::vector<std::string> to_strings(JNIEnv * env, jobjectArray arrays) {
    std::vector<std::string> result;
    const jsize count = env->GetArrayLength(arrays);
    for (jsize i = 0; i < count; i++) {
        const auto bytes = static_cast<jbyteArray>(env->GetObjectArrayElement(arrays, i));
        result.push_back(to_string(env, bytes));
        env->DeleteLocalRef(bytes);
    }
    return result;
}

} // namespace

extern "C" {

/// See render(). `messages` alternates roles and contents, `texts` names and texts; `flags` are names, each after a '+' or '-'.
JNIEXPORT jbyteArray JNICALL Java_io_llamafu_chat_TemplateEngine_render(JNIEnv * env, jclass, jbyteArray source,
    jobjectArray messages, jobjectArray texts, jobjectArray flags, jboolean content_parts, jlong now) {
    return guarded(env, static_cast<jbyteArray>(nullptr), [&] {
        const std::string text = to_string(env, source);
        Conversation conversation;
        size_t bytes = 0;
        const std::vector<std::string> turns = to_strings(env, messages);
        for (size_t i = 0; i + 1 < turns.size(); i += 2) {
            conversation.messages.emplace_back(turns[i], turns[i + 1]);
            bytes += turns[i + 1].size();
        }
        const std::vector<std::string> variables = to_strings(env, texts);
        for (size_t i = 0; i + 1 < variables.size(); i += 2) {
            conversation.texts.emplace_back(variables[i], variables[i + 1]);
        }
        for (const std::string & flag : to_strings(env, flags)) {
            conversation.flags.emplace_back(flag.substr(1), flag[0] == '+');
        }
        conversation.content_parts = content_parts == JNI_TRUE;
        conversation.now = static_cast<std::time_t>(now);
        Task task{[&] { return render(text, conversation); }, most_bytes + copies_of_input * bytes, {}, nullptr, {}};
        run_on_large_stack(task);
        return to_java(env, task.result);
    });
}

} // extern "C"
