package dev.kleinscope.ops;

/** The weights of one model, which a backend may give back before it closes: a text encoder's, once prompts are encoded. */
public interface WeightGroup extends AutoCloseable {

    /** Of a backend that computes with the mapped files: there is nothing to give back. */
    WeightGroup MAPPED = new WeightGroup() {
        @Override
        public boolean hold() {
            return true;
        }

        @Override
        public void spare() {
            // the files stay mapped
        }

        @Override
        public void close() {
            // the files stay mapped
        }
    };

    /** Keeps them from here on. @return false if they were given back already: the model must be made anew */
    boolean hold();

    /** Lets the backend give them back from here on, when memory is short. */
    void spare();

    /** Gives them back. */
    @Override
    void close();
}
