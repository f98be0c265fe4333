package io.llamafu.jllama;

import de.kherud.llama.LlamaModel;
import de.kherud.llama.LlamaOutput;
import de.kherud.llama.ModelParameters;
import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;

import java.lang.reflect.AccessibleObject;
import java.lang.reflect.Field;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.util.AbstractMap;
import java.util.AbstractSet;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * A {@link LlamaModel} with its package-private methods, which take a request as JSON (and so with adapters) and stream
 * its tokens. They are called by reflection, because a class of ours in that package could not see them if the two jars
 * have different class loaders.
 */
final class BoundModel {
    private static final Method REQUEST = method("requestCompletion", String.class);
    private static final Method RECEIVE = method("receiveCompletion", int.class);
    private static final Method CANCEL = method("cancelCompletion", int.class);
    private static final Field HANDLE = field(LlamaModel.class, "ctx");
    private static final Field LAST = field(LlamaOutput.class, "stop");
    private static final Field ARGUMENTS = field(ModelParameters.class.getSuperclass(), "parameters");

    private final LlamaModel model;

    /**
     * A part of an answer.
     *
     * @param text whole characters, or empty
     * @param last whether the answer is complete; the text is then empty
     */
    record Piece(String text, boolean last) {}

    private BoundModel(LlamaModel model) {
        this.model = model;
    }

    /**
     * Loads a model.
     *
     * @param arguments of llama-server, without the program's name
     * @throws LlamafuException with MODEL_LOAD_FAILED or NATIVE_LIBRARY_UNAVAILABLE
     * @throws LinkageError if the library itself cannot be loaded
     */
    static BoundModel load(List<String> arguments) {
        try {
            ModelParameters parameters = new ModelParameters();
            ARGUMENTS.set(parameters, new ArgumentList(arguments));
            LlamaModel model = new LlamaModel(parameters);
            // for an invalid argument, the library prints to standard error and creates no model
            if (HANDLE.getLong(model) == 0) {
                throw loadFailed(arguments, "it refused an argument", null);
            }
            return new BoundModel(model);
        } catch (LlamafuException e) {
            throw e;
        } catch (RuntimeException e) {
            throw loadFailed(arguments, e.getMessage(), e);
        } catch (ReflectiveOperationException e) {
            throw foreignVersion(e);
        }
    }

    private static LlamafuException loadFailed(List<String> arguments, String reason, Throwable cause) {
        return new LlamafuException(
                ErrorCode.MODEL_LOAD_FAILED,
                "java-llama.cpp did not load the model or one of its adapters: %s. Its arguments were: %s."
                        .formatted(reason, String.join(" ", arguments)),
                cause);
    }

    /** Tokens of a text, without the beginning-of-sequence token. All control strings in it become control tokens. */
    int[] tokenize(String text) {
        return model.encode(text);
    }

    /** Queues a request and returns its task number. */
    int request(String json) {
        return (int) call(REQUEST, json);
    }

    /**
     * Waits for the next piece. No other thread may wait for or cancel the same task meanwhile; it would wait forever.
     */
    Piece receive(int task) {
        LlamaOutput output = (LlamaOutput) call(RECEIVE, task);
        try {
            return new Piece(output.text, LAST.getBoolean(output));
        } catch (IllegalAccessException e) {
            throw foreignVersion(e);
        }
    }

    /** Ends a task, which then yields no more pieces, and waits until its slot no longer computes. */
    void cancel(int task, int slot) {
        call(CANCEL, task);
        // A request gets the slot when the step in progress is done.
        int next = request("{\"prompt\":[0],\"n_predict\":1,\"stream\":true,\"id_slot\":%d}".formatted(slot));
        Piece piece;
        do {
            piece = receive(next);
        } while (!piece.last());
    }

    private Object call(Method method, Object argument) {
        try {
            return method.invoke(model, argument);
        } catch (InvocationTargetException e) {
            throw e.getCause() instanceof RuntimeException failure
                    ? failure
                    : new IllegalStateException("java-llama.cpp failed.", e.getCause());
        } catch (IllegalAccessException e) {
            throw foreignVersion(e);
        }
    }

    private static LlamafuException foreignVersion(ReflectiveOperationException e) {
        return new LlamafuException(
                ErrorCode.NATIVE_LIBRARY_UNAVAILABLE,
                "The jar de.kherud:llama is not the version 4.2.0 that this engine was written for: " + e.getMessage(),
                e);
    }

    private static Method method(String name, Class<?> argument) {
        try {
            return accessible(LlamaModel.class.getDeclaredMethod(name, argument));
        } catch (NoSuchMethodException e) {
            throw foreignVersion(e);
        }
    }

    private static Field field(Class<?> type, String name) {
        try {
            return accessible(type.getDeclaredField(name));
        } catch (NoSuchFieldException e) {
            throw foreignVersion(e);
        }
    }

    private static <T extends AccessibleObject> T accessible(T member) {
        member.setAccessible(true);
        return member;
    }

    /**
     * Command line arguments, replacing the map from which {@link ModelParameters} writes them, because a map cannot
     * hold {@code --lora} twice. Every argument is a key without a value, in order.
     */
    private static final class ArgumentList extends AbstractMap<String, String> {
        private final List<String> arguments;

        private ArgumentList(List<String> arguments) {
            this.arguments = List.copyOf(arguments);
        }

        @Override
        public Set<String> keySet() {
            return new AbstractSet<>() {
                @Override
                public Iterator<String> iterator() {
                    return arguments.iterator();
                }

                @Override
                public int size() {
                    return arguments.size();
                }
            };
        }

        @Override
        public String get(Object key) {
            return null;
        }

        @Override
        public Set<Map.Entry<String, String>> entrySet() {
            throw new UnsupportedOperationException("only its keys are asked for");
        }
    }
}
