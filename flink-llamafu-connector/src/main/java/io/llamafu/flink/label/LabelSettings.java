package io.llamafu.flink.label;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.adapter.AdapterStack;
import io.llamafu.adapter.Sha256;
import io.llamafu.engine.CompletionRequest;
import io.llamafu.engine.Prompt;
import io.llamafu.engine.SamplingOptions;
import io.llamafu.flink.LlamafuConfigOptions;
import io.llamafu.flink.LlamafuOptions;
import io.llamafu.flink.OnError;
import io.llamafu.flink.artifact.SmallFile;
import io.llamafu.flink.options.ChatOptions;

import javax.annotation.Nullable;
import java.io.Serializable;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * What all subtasks of a job know. The files that options name are read when the job is submitted.
 *
 * @param options of the engine and of calls
 * @param format of the files
 * @param delimiter of CSV
 * @param prompt of a row
 * @param task what is asked for
 * @param sampling of the options, built once
 * @param stacks who answers
 * @param prefix of our columns
 * @param goldField the field with the right answer; null for none
 * @param chatDigest of the conversation around a prompt: template, system prompt, examples
 */
record LabelSettings(
        LlamafuOptions options,
        LabelFormat format,
        char delimiter,
        RowPrompt prompt,
        LabelTask task,
        SamplingOptions sampling,
        StackChoice stacks,
        String prefix,
        @Nullable String goldField,
        String chatDigest)
        implements Serializable {
    private static final int MOST_FILE_BYTES = 16 << 20;

    /** Of the written output; a new number writes all files again, without asking. */
    private static final int LAYOUT = 1;

    /** @throws LlamafuException with INVALID_OPTION, and the codes of the files that options name */
    static LabelSettings of(LabelArguments arguments, LabelFormat format) {
        Map<String, String> engine = new HashMap<>(arguments.engine());
        engine.putIfAbsent(
                LlamafuConfigOptions.ON_ERROR.key(), OnError.EMIT.name().toLowerCase(Locale.ROOT));
        LabelTask.complete(arguments, engine);
        if (engine.containsKey(LlamafuConfigOptions.PROMPT_IN_OUTPUT.key())) {
            throw LabelArguments.invalid(
                    "--prompt-in-output has no effect: rows of the output have their own columns, and no prompt. Leave it out.");
        }
        LlamafuOptions options = LlamafuOptions.fromMap(engine);
        if (options.onError() == OnError.NULL) {
            throw LabelArguments.invalid(
                    "--on-error is 'null', which leaves neither an answer nor a code, so that no run would ask for the row again: choose emit or fail.");
        }
        return new LabelSettings(
                options,
                format,
                delimiter(arguments, format),
                prompt(arguments, options),
                LabelTask.of(arguments, options),
                options.sampling(),
                StackChoice.of(arguments),
                arguments.get(LabelOption.PREFIX).orElse(""),
                arguments.get(LabelOption.GOLD_FIELD).orElse(null),
                chatDigest(options.chat()));
    }

    private static char delimiter(LabelArguments arguments, LabelFormat format) {
        if (format != LabelFormat.CSV && arguments.has(LabelOption.CSV_DELIMITER)) {
            throw LabelArguments.invalid("--csv-delimiter has no effect, because the format is %s: leave it out."
                    .formatted(format.name().toLowerCase(Locale.ROOT)));
        }
        String written = arguments.get(LabelOption.CSV_DELIMITER).orElse(",");
        if (written.length() != 1 || "\"\r\n".contains(written)) {
            throw LabelArguments.invalid(
                    "--csv-delimiter is '%s', but must be one character, and no quote.".formatted(written));
        }
        return written.charAt(0);
    }

    private static RowPrompt prompt(LabelArguments arguments, LlamafuOptions options) {
        boolean template = arguments.has(LabelOption.TEMPLATE);
        if (template == arguments.has(LabelOption.TEXT_FIELD)) {
            throw LabelArguments.invalid(
                    "Set either --text-field, for the option prompt-template, or --template, a file with {FIELD}s.");
        }
        if (!template) {
            return RowPrompt.of(options.promptTemplate(), arguments.require(LabelOption.TEXT_FIELD));
        }
        if (arguments.engine().containsKey(LlamafuConfigOptions.PROMPT_TEMPLATE.key())) {
            throw LabelArguments.invalid("--template and --prompt-template are both set; leave one out.");
        }
        String location = arguments.require(LabelOption.TEMPLATE);
        return RowPrompt.ofTemplate(
                location,
                SmallFile.read(LabelOption.TEMPLATE.key(), location, MOST_FILE_BYTES, ErrorCode.INVALID_OPTION));
    }

    private static String chatDigest(ChatOptions chat) {
        String template = ChatOptions.isFile(chat.template())
                ? SmallFile.read(
                        LlamafuConfigOptions.CHAT_TEMPLATE.key(),
                        chat.template(),
                        MOST_FILE_BYTES,
                        ErrorCode.CHAT_TEMPLATE_INVALID)
                : chat.template();
        return Sha256.of(String.join(
                "\0",
                template,
                chat.system(),
                chat.examples().toString(),
                chat.thinking().name(),
                chat.date().toString()));
    }

    CompletionRequest request(Prompt asked, AdapterStack stack) {
        return task.apply(options.toRequest(asked, stack, sampling), options.labels());
    }

    /** Of all that decides how the rows of a part become rows of the output, besides model and adapters. */
    String digest() {
        return Sha256.of(String.join(
                "\0",
                List.of(
                        String.valueOf(LAYOUT),
                        format.name(),
                        String.valueOf(delimiter),
                        prompt.toString(),
                        task.name(),
                        LabelTask.digestOf(options),
                        stacks.toString(),
                        prefix,
                        String.valueOf(goldField),
                        chatDigest,
                        String.valueOf(options.controlTokensInText()),
                        sampling.toString(),
                        String.valueOf(options.maxTokens()),
                        options.stop().toString())));
    }
}
