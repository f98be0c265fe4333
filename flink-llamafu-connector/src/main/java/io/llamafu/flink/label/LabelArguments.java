package io.llamafu.flink.label;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.flink.LlamafuConfigOptions;
import io.llamafu.flink.artifact.SmallFile;
import io.llamafu.flink.options.TextList;

import java.io.IOException;
import java.io.StringReader;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.Set;
import java.util.stream.Stream;

/**
 * The written options of a job: {@code --KEY VALUE} or {@code --KEY=VALUE}, completed by a properties file.
 *
 * @param values of the job's own options
 * @param engine the options of {@link LlamafuConfigOptions} by key
 */
record LabelArguments(Map<LabelOption, List<String>> values, Map<String, String> engine) {
    private static final int MOST_CONFIG_BYTES = 1 << 20;

    LabelArguments {
        values = Map.copyOf(values);
        engine = Map.copyOf(engine);
    }

    /**
     * Parses the arguments of {@code main}.
     *
     * @throws LlamafuException with INVALID_OPTION
     */
    static LabelArguments parse(String... arguments) {
        Map<LabelOption, List<String>> values = new HashMap<>();
        Map<String, String> engine = new HashMap<>();
        int position = 0;
        while (position < arguments.length) {
            String argument = arguments[position++];
            if (!argument.startsWith("--") || argument.length() == 2) {
                throw invalid("'%s' is no option; options are written --KEY VALUE, see --help.".formatted(argument));
            }
            int equals = argument.indexOf('=');
            String key = argument.substring(2, equals < 0 ? argument.length() : equals);
            LabelOption.Arity arity = arity(key);
            List<String> given = new ArrayList<>();
            if (equals >= 0) {
                given.add(argument.substring(equals + 1));
            }
            while (position < arguments.length && wantsMore(arity, given, arguments[position])) {
                given.add(arguments[position++]);
            }
            put(key, given, arity, values, engine);
        }
        LabelArguments line = new LabelArguments(values, engine);
        LabelArguments all =
                line.get(LabelOption.CONFIG).map(file -> completed(file, line)).orElse(line);
        requireEffect(line, all);
        return all;
    }

    /**
     * Refuses options that this command does not read, rather than let anyone believe in them. A file describes the job, so it
     * may have more than a command such as {@code --explain} needs.
     */
    private static void requireEffect(LabelArguments line, LabelArguments all) {
        if (line.has(LabelOption.HELP)) {
            return;
        }
        (line.has(LabelOption.GOLD) ? line : all).requireOnly(LabelOption.GOLD, Set.of(LabelOption.OUTPUT));
        line.requireOnly(
                LabelOption.EXPLAIN,
                EnumSet.complementOf(EnumSet.of(LabelOption.REVIEW, LabelOption.SCHEDULE, LabelOption.RUNS)));
        if (all.has(LabelOption.RUNS) && !all.has(LabelOption.SCHEDULE)) {
            throw invalid("--runs ends a --schedule, and there is none: set it, or leave --runs out.");
        }
    }

    private void requireOnly(LabelOption command, Set<LabelOption> read) {
        if (!has(command)) {
            return;
        }
        Stream<String> ownIdle = values.keySet().stream()
                .filter(option -> option != command && option != LabelOption.CONFIG && !read.contains(option))
                .map(LabelOption::key);
        // Of the engine's options, --explain needs some; those of the run it explains may be there too.
        Stream<String> engineIdle = command == LabelOption.EXPLAIN ? Stream.of() : engine.keySet().stream();
        Stream.concat(ownIdle, engineIdle).sorted().findFirst().ifPresent(option -> {
            throw invalid("--%s has no effect beside --%s: leave one out.".formatted(option, command.key()));
        });
    }

    private static boolean wantsMore(LabelOption.Arity arity, List<String> given, String next) {
        return switch (arity) {
            case FLAG -> false;
            case ONE -> given.isEmpty() && !next.startsWith("--");
            case LIST -> !next.startsWith("--");
        };
    }

    private static LabelOption.Arity arity(String key) {
        Optional<LabelOption> own = LabelOption.find(key);
        if (own.isPresent()) {
            return own.get().arity();
        }
        if (LlamafuConfigOptions.isNamedAdapter(key)
                || LlamafuConfigOptions.all().stream()
                        .anyMatch(option -> option.key().equals(key))) {
            return LabelOption.Arity.ONE;
        }
        throw invalid("There is no option '--%s'; --help lists them.".formatted(key));
    }

    private static void put(
            String key,
            List<String> given,
            LabelOption.Arity arity,
            Map<LabelOption, List<String>> values,
            Map<String, String> engine) {
        if (arity == LabelOption.Arity.FLAG ? !given.isEmpty() : given.isEmpty()) {
            throw invalid(
                    arity == LabelOption.Arity.FLAG
                            ? "--%s takes no value; leave '%s' out.".formatted(key, given.get(0))
                            : "--%s has no value. A value that begins with -- is written --%s=VALUE."
                                    .formatted(key, key));
        }
        Optional<LabelOption> own = LabelOption.find(key);
        if (own.isEmpty()) {
            if (engine.put(key, given.get(0)) != null) {
                throw repeated(key);
            }
        } else if (arity == LabelOption.Arity.LIST) {
            values.computeIfAbsent(own.get(), option -> new ArrayList<>()).addAll(given);
        } else if (values.put(own.get(), given) != null) {
            throw repeated(key);
        }
    }

    private static LlamafuException repeated(String key) {
        return invalid("--%s is given twice; leave one out.".formatted(key));
    }

    private static LabelArguments completed(String location, LabelArguments line) {
        Properties file = new Properties();
        try {
            file.load(
                    new StringReader(SmallFile.read("config", location, MOST_CONFIG_BYTES, ErrorCode.INVALID_OPTION)));
        } catch (IOException | IllegalArgumentException e) {
            throw new LlamafuException(
                    ErrorCode.INVALID_OPTION,
                    "config is '%s', which is no properties file: %s".formatted(location, e.getMessage()),
                    e);
        }
        Map<LabelOption, List<String>> values = new HashMap<>(line.values);
        Map<String, String> engine = new HashMap<>(line.engine);
        for (String key : file.stringPropertyNames()) {
            String value = file.getProperty(key);
            switch (arity(key)) {
                case FLAG -> throw invalid("'%s' belongs on the command line, not into '%s'.".formatted(key, location));
                case LIST -> values.putIfAbsent(LabelOption.find(key).orElseThrow(), TextList.parse(key, value));
                case ONE -> {
                    Optional<LabelOption> own = LabelOption.find(key);
                    if (own.isPresent()) {
                        values.putIfAbsent(own.get(), List.of(value));
                    } else {
                        engine.putIfAbsent(key, value);
                    }
                }
            }
        }
        return new LabelArguments(values, engine);
    }

    boolean has(LabelOption option) {
        return values.containsKey(option);
    }

    Optional<String> get(LabelOption option) {
        return Optional.ofNullable(values.get(option)).map(given -> given.get(0));
    }

    /** @throws LlamafuException with INVALID_OPTION if it is missing */
    String require(LabelOption option) {
        return get(option)
                .orElseThrow(() -> invalid("--%s is missing: %s"
                        .formatted(option.key(), option.usage().strip())));
    }

    /**
     * A number of 1 or more.
     *
     * @throws LlamafuException with INVALID_OPTION
     */
    Optional<Integer> count(LabelOption option) {
        return get(option).map(written -> {
            try {
                int number = Integer.parseInt(written);
                if (number >= 1) {
                    return number;
                }
            } catch (NumberFormatException e) {
                // Reported below, like a number that is too small.
            }
            throw invalid("--%s is '%s', but must be a number of 1 or more.".formatted(option.key(), written));
        });
    }

    static LlamafuException invalid(String message) {
        return new LlamafuException(ErrorCode.INVALID_OPTION, message);
    }
}
