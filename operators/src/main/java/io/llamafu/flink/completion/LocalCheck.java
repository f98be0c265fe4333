package io.llamafu.flink.completion;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.adapter.LocalAdapters;
import io.llamafu.engine.SharedEngines;
import io.llamafu.flink.LlamafuConfigOptions;
import io.llamafu.flink.LlamafuOptions;
import io.llamafu.flink.artifact.ArtifactOptions;
import io.llamafu.flink.artifact.Location;
import io.llamafu.flink.options.ChatOptions;
import org.apache.flink.annotation.Internal;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;

/**
 * What can be told about the local files of a job on the machine that builds it, which may be another one than those that run
 * it: there, a path may mean something else, or nothing. So a path counts as this machine's, too, if its folder exists here.
 */
@Internal
public final class LocalCheck {
    private LocalCheck() {}

    /**
     * Refuses options with which the tasks could not open their engine. Loads neither a model nor a library.
     *
     * @throws LlamafuException with MODEL_NOT_FOUND, MODEL_INVALID, OUT_OF_MEMORY, CHAT_TEMPLATE_INVALID or INVALID_OPTION
     */
    public static void check(LlamafuOptions options) {
        ArtifactOptions files = options.artifacts(Path.of(""));
        files.adapters()
                .ifPresent(folder ->
                        requirePresent(ErrorCode.INVALID_OPTION, LlamafuConfigOptions.ADAPTERS.key(), folder));
        String template = options.chat().template();
        if (ChatOptions.isFile(template)) {
            String key = LlamafuConfigOptions.CHAT_TEMPLATE.key();
            requirePresent(ErrorCode.CHAT_TEMPLATE_INVALID, key, Location.parse(key, template));
        }
        requirePresent(ErrorCode.MODEL_NOT_FOUND, LlamafuConfigOptions.MODEL.key(), files.model());
        if (files.model() instanceof Location.Local model && Files.isReadable(model.path())) {
            SharedEngines.inspect(options.toEngineOptions(
                            model.path(), new LocalAdapters(Optional.empty(), Map.of()), OptionalInt.empty()))
                    .ifPresent(chat -> new ChatFormats(chat, Map.of()).checkPresence(options.chat()));
        }
    }

    private static void requirePresent(ErrorCode missing, String option, Location location) {
        if (location instanceof Location.Local local
                && !Files.exists(local.path())
                && Files.isDirectory(local.path().toAbsolutePath().getParent())) {
            throw new LlamafuException(
                    missing,
                    "%s is '%s', which does not exist on this machine, although its folder does; correct the path. It must exist on each TaskManager."
                            .formatted(option, local.path()));
        }
    }
}
