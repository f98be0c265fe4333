package io.llamafu.adapter;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;

import java.util.regex.Pattern;

/** The rule for adapter names, which distinguishes them from paths: {@code [A-Za-z0-9][A-Za-z0-9._-]{0,127}}. */
public final class AdapterName {
    private static final Pattern VALID = Pattern.compile("[A-Za-z0-9][A-Za-z0-9._-]{0,127}");

    private AdapterName() {}

    public static boolean isValid(String name) {
        return VALID.matcher(name).matches();
    }

    /**
     * Checks a name.
     *
     * @throws LlamafuException with {@link ErrorCode#INVALID_REQUEST} if it breaks the rule
     */
    public static void check(String name) {
        if (!isValid(name)) {
            throw new LlamafuException(
                    ErrorCode.INVALID_REQUEST,
                    "'%s' is no adapter name: 1 to 128 letters, digits, '.', '_' or '-', beginning with a letter or digit."
                            .formatted(name));
        }
    }

    /**
     * Checks a name in the option {@code adapters.files}.
     *
     * @param file the file of that name, for messages
     * @throws LlamafuException with {@link ErrorCode#INVALID_OPTION} if it breaks the rule
     */
    public static void checkOption(String name, Object file) {
        if (!isValid(name)) {
            throw new LlamafuException(
                    ErrorCode.INVALID_OPTION,
                    "adapters.files gives '%s' the name '%s', but a name has 1 to 128 letters, digits, '.', '_' or '-', and begins with a letter or digit."
                            .formatted(file, name));
        }
    }
}
