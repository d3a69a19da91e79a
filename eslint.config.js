import tseslint from 'typescript-eslint';

export default tseslint.config({ ignores: ['node_modules/', 'extension/', 'dist/'] }, ...tseslint.configs.recommended, {
  // A generated function's argument names are PostgreSQL's, and its unused parameters are its signature.
  rules: {
    '@typescript-eslint/no-unused-vars': ['error', { args: 'none' }],
    '@typescript-eslint/no-explicit-any': 'error',
    // Prettier wraps code, but not comments.
    'max-len': ['error', { code: 1000, comments: 120, ignorePattern: '@example' }],
  },
});
