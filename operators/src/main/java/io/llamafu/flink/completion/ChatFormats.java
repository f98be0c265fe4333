package io.llamafu.flink.completion;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.chat.ChatFamily;
import io.llamafu.chat.ChatFormat;
import io.llamafu.chat.ChatTemplate;
import io.llamafu.engine.ModelChat;
import io.llamafu.engine.Prompt;
import io.llamafu.flink.LlamafuConfigOptions;
import io.llamafu.flink.artifact.SmallFile;
import io.llamafu.flink.options.ChatOptions;
import org.apache.flink.annotation.Internal;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Supplier;
import java.util.regex.Pattern;

import static org.apache.flink.util.Preconditions.checkNotNull;

/** The chat templates that the requests of one {@link EngineClient} use. Thread-safe. */
@Internal
public final class ChatFormats {
    private static final Logger LOG = LoggerFactory.getLogger(ChatFormats.class);

    private static final String PROBE = "Why is the sky blue?";
    private static final Pattern CONTROL_STRING =
            Pattern.compile("<\\|[^|<>]{1,40}\\|>|<[a-z_]{1,40}>|\\[/?[A-Z_]{1,40}]");

    private final ModelChat model;
    /** Contents by location: read once, so that a job has one template even if its engine is opened anew. */
    private final Map<String, String> files;

    private final Map<String, Optional<ChatTemplate>> templates = new ConcurrentHashMap<>();

    /**
     * Of a model.
     *
     * @param files the contents of templates by location; they are added when they are read
     */
    public ChatFormats(ModelChat model, Map<String, String> files) {
        this.model = checkNotNull(model, "model is null");
        this.files = checkNotNull(files, "files is null");
    }

    /**
     * How a prompt becomes a conversation; empty if it is sent as it is.
     *
     * @throws LlamafuException with CHAT_TEMPLATE_INVALID, and the codes of a file that cannot be read
     */
    public Optional<ChatFormat> of(ChatOptions options, Prompt prompt) {
        return of(options).filter(format -> !options.isAuto() || !writesTurns(prompt, format.template()));
    }

    private Optional<ChatFormat> of(ChatOptions options) {
        if (options.isNone()) {
            return Optional.empty();
        }
        Optional<ChatTemplate> template = templates.computeIfAbsent(options.template(), this::template);
        if (template.isEmpty()) {
            requirePlain(options);
        }
        return template.map(found ->
                new ChatFormat(found, options.system(), options.examples(), options.thinking(), options.date()));
    }

    private Optional<ChatTemplate> template(String choice) {
        if (choice.equals(ChatOptions.AUTO)) {
            return model.template().isEmpty() ? Optional.empty() : ofModelUnlessUnsupported();
        }
        if (choice.equals(ChatOptions.MODEL)) {
            return Optional.of(ofModel());
        }
        String source = ChatFamily.find(choice)
                .map(ChatFamily::source)
                .orElseGet(() -> files.computeIfAbsent(choice, ChatFormats::read));
        return Optional.of(ChatTemplate.of(source, model.specialTokens()));
    }

    /** Where there is no native library, another engine answers, and nobody has asked for a template. */
    private Optional<ChatTemplate> ofModelUnlessUnsupported() {
        try {
            return Optional.of(ofModel());
        } catch (LlamafuException e) {
            if (e.code() != ErrorCode.NATIVE_LIBRARY_UNAVAILABLE && e.code() != ErrorCode.UNSUPPORTED_CPU) {
                throw e;
            }
            LOG.warn(
                    "The model has a chat template, but chat-template = auto does not apply it: the native library that renders templates cannot be loaded here. Set chat-template = none if prompts are meant to be sent as they are.",
                    e);
            return Optional.empty();
        }
    }

    private ChatTemplate ofModel() {
        return ChatTemplate.of(sourceOfModel(), model.specialTokens());
    }

    private String sourceOfModel() {
        return model.template()
                .orElseThrow(() -> new LlamafuException(
                        ErrorCode.CHAT_TEMPLATE_INVALID,
                        "chat-template is model, but the model's file has no chat template of at most 1 MiB; choose one of the families %s, a file, or none."
                                .formatted(String.join(", ", ChatFamily.optionNames()))));
    }

    private static String read(String location) {
        return SmallFile.read(
                LlamafuConfigOptions.CHAT_TEMPLATE.key(),
                location,
                ChatTemplate.MAX_SOURCE_BYTES,
                ErrorCode.CHAT_TEMPLATE_INVALID);
    }

    /** Whether a prompt-template has control strings of its own, as it had to before there were chat templates. */
    private static boolean writesTurns(Prompt prompt, ChatTemplate template) {
        return prompt.parts().stream()
                .filter(Prompt.Part::controlTokens)
                .flatMap(part -> CONTROL_STRING.matcher(part.text()).results())
                .anyMatch(found ->
                        found.group().startsWith("<|") || template.source().contains(found.group()));
    }

    /**
     * The part of {@link #check} that needs no library.
     *
     * @throws LlamafuException with CHAT_TEMPLATE_INVALID or INVALID_OPTION
     */
    void checkPresence(ChatOptions options) {
        if (options.template().equals(ChatOptions.MODEL)) {
            String unused = sourceOfModel();
        } else if (options.isAuto() && model.template().isEmpty()) {
            requirePlain(options);
        }
    }

    private static void requirePlain(ChatOptions options) {
        options.requirePlain("The model has no chat template");
    }

    /**
     * Renders a conversation with the options of a job, so that what can never be rendered fails when the job starts.
     *
     * @param loudly whether to log which template is used
     * @throws LlamafuException with CHAT_TEMPLATE_INVALID, and the codes of a file that cannot be read
     */
    public void check(ChatOptions options, boolean loudly) {
        Optional<ChatFormat> format = explained(options, () -> of(options));
        if (format.isPresent()) {
            Prompt unused = explained(options, () -> format.get().prompt(PROBE));
        }
        if (!loudly) {
            return;
        }
        if (format.isEmpty()) {
            LOG.info("Prompts are sent as they are: chat-template is {}.", options.template());
        } else if (options.isAuto()) {
            LOG.warn(
                    "The text of each record is the user's turn of a conversation: the model has a chat template (SHA-256 {}), and chat-template is auto. Set chat-template = model to say that this is meant, or chat-template = none to send prompts as they are.",
                    format.get().template().digest());
        } else {
            LOG.info(
                    "The text of each record is the user's turn of a conversation: chat-template is {} (SHA-256 {}).",
                    options.template(),
                    format.get().template().digest());
        }
    }

    /** What a template does with every record is wrong with the template or the options, not with a record. */
    private static <T> T explained(ChatOptions options, Supplier<T> step) {
        try {
            return step.get();
        } catch (LlamafuException e) {
            if (e.code() != ErrorCode.CHAT_TEMPLATE_FAILED && e.code() != ErrorCode.CHAT_TEMPLATE_INVALID) {
                throw e;
            }
            throw new LlamafuException(
                    ErrorCode.CHAT_TEMPLATE_INVALID,
                    "%s It is the one of chat-template = %s, with system-prompt and chat-examples as they are set. Choose a family or a file, or set chat-template = none and write the turns into prompt-template."
                            .formatted(e.sentence(), options.template()),
                    e);
        }
    }
}
