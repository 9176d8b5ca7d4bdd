// The JavaScript component: gives back what it gets.
export const echo = {
  echo(text) {
    return text;
  },
};
